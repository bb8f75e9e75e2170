/* Windows that are clamped axis by axis and padded behind the roll: where tokens go, that the way there and back loses nothing, and
 * that tokens which do not touch are kept apart. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "exec/exec.h"
#include "nn/nn.h"

#define MOST 512

static const fet__windows cases[] = {
    {.grid = {9, 10}, .window = 4, .shift = 2, .clamp = true, .pad_last = true},
    {.grid = {3, 10}, .window = 4, .shift = 2, .clamp = true, .pad_last = true},
    {.grid = {10, 3}, .window = 4, .shift = 2, .clamp = true, .pad_last = true},
    {.grid = {4, 9}, .window = 4, .shift = 1, .clamp = true, .pad_last = true},
    {.grid = {2, 3}, .window = 7, .shift = 3, .clamp = true, .pad_last = true},
    {.grid = {8, 8}, .window = 4, .shift = 0, .clamp = true, .pad_last = true},
    {.grid = {9, 10}, .window = 4, .shift = 2},
    {.grid = {7, 9}, .window = 4, .shift = 0, .pad_last = true},
};

static int slots_of(const fet__windows *w)
{
    int side[2];

    for (int i = 0; i < 2; i++)
        side[i] = w->clamp && w->grid[i] < w->window ? w->grid[i] : w->window;
    return side[0] * side[1];
}

/* Every token has one slot, all others are padding; without padding in front of the roll none of it is rolled into the grid. */
static void every_token_has_one_slot(void **state)
{
    (void)state;
    for (size_t k = 0; k < FET_COUNT(cases); k++) {
        const fet__windows *w = &cases[k];
        int32_t token[MOST];
        int all = fet__windows_count(w) * slots_of(w), tokens = w->grid[0] * w->grid[1], seen[MOST] = {0};

        assert_true(all <= MOST);
        fet__windows_tokens(w, token);
        for (int i = 0; i < all; i++) {
            assert_true(token[i] >= -1 && token[i] < tokens);
            if (token[i] >= 0)
                seen[token[i]]++;
        }
        for (int i = 0; i < tokens; i++)
            assert_int_equal(seen[i], 1);
    }
}

/* Moves as graph: windows hold the tokens that the table says, zeros elsewhere, and the way back gives x. */
static void moves_go_there_and_back(void **state)
{
    (void)state;
    for (size_t k = 0; k < FET_COUNT(cases); k++) {
        const fet__windows *w = &cases[k];
        int tokens = w->grid[0] * w->grid[1], all = fet__windows_count(w) * slots_of(w);
        fet__program_options o = {.reference = true};
        fet__build b = {.dtype = FET_F32};
        fet__program *p;
        fet__node *x, *y;
        int32_t token[MOST];
        const float *out;

        assert_int_equal(fet__graph_create(&b.g), FET_OK);
        x = fet__input(b.g, "x", FET_F32, FET_SHAPE(1, tokens, 1));
        y = fet__nn_windows(&b, x, w);
        fet__output(b.g, "windows", y);
        fet__output(b.g, "back", fet__nn_unwindows(&b, y, w));
        assert_int_equal(fet__graph_status(b.g), FET_OK);
        assert_int_equal(fet__program_create(&p, b.g, &o), FET_OK);
        for (int i = 0; i < tokens; i++)
            ((float *)fet__program_input(p, "x"))[i] = (float)(i + 1);
        assert_int_equal(fet__program_run(p), FET_OK);
        fet__windows_tokens(w, token);
        out = fet__program_output(p, "windows");
        for (int i = 0; i < all; i++)
            assert_int_equal((int)out[i], token[i] + 1);
        out = fet__program_output(p, "back");
        for (int i = 0; i < tokens; i++)
            assert_int_equal((int)out[i], i + 1);
        fet__program_destroy(p);
        fet__graph_destroy(b.g);
    }
}

/* On grids of whole windows two tokens share a region exactly when the roll has not parted them: they lie as far from each other in the
 * grid as in the window. An axis that one window covers is not rolled. */
static void regions_part_what_the_roll_joined(void **state)
{
    static const fet__windows whole[] = {{.grid = {8, 12}, .window = 4, .shift = 2, .clamp = true, .pad_last = true},
                                         {.grid = {4, 12}, .window = 4, .shift = 1, .clamp = true, .pad_last = true},
                                         {.grid = {12, 3}, .window = 4, .shift = 2, .clamp = true, .pad_last = true},
                                         {.grid = {8, 8}, .window = 4, .shift = 2}};

    (void)state;
    for (size_t k = 0; k < FET_COUNT(whole); k++) {
        const fet__windows *w = &whole[k];
        int slots = slots_of(w), columns = w->grid[1] < w->window ? w->grid[1] : w->window, parted = 0;
        int32_t token[MOST], region[MOST];

        fet__windows_tokens(w, token);
        fet__windows_regions(w, region);
        for (int i = 0; i < fet__windows_count(w) * slots; i++)
            for (int j = i / slots * slots; j < i; j++) {
                int down = i % slots / columns - j % slots / columns,
                    across = i % slots % columns - j % slots % columns;
                bool together = token[i] / w->grid[1] - token[j] / w->grid[1] == down &&
                                token[i] % w->grid[1] - token[j] % w->grid[1] == across;

                assert_true(together == (region[i] == region[j]));
                parted += !together;
            }
        assert_true(parted > 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_token_has_one_slot),
        cmocka_unit_test(moves_go_there_and_back),
        cmocka_unit_test(regions_part_what_the_roll_joined),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
