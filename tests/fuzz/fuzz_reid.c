/* Fuzz target: what the readers of re-identification sets make of file names, of lists and of CSV files. The first line of the input names the format,
 * the rest is a list's text, or a file name a line. What is taken has what it promises; a refusal names the file. */
#include <stdlib.h>
#include <string.h>

#include "data/data_int.h"

static void require(bool holds)
{
    if (!holds)
        abort();
}

/* The limits of all sets together: each one's own are narrower, and the unit tests have them. */
static void check_image(const fet__reid_image *im)
{
    size_t length = strlen(im->path), shown = strlen(im->rel);
    require(shown > 0 && length >= shown && strcmp(im->path + length - shown, im->rel) == 0);
    require(im->id >= 0 && im->id < 1000000000 && im->camera >= 0);
    require(strncmp(im->path, "set/", 4) == 0 || im->path[0] == '/'); /* a CSV file may name others */
}

static void check(fet__reid_listing *l)
{
    for (int role = 0; role < FET__REID_ROLES; role++) {
        for (int i = 0; i < l->list[role].count; i++)
            check_image(&l->list[role].images[i]);
        fet__free(l->list[role].images);
        memset(&l->list[role], 0, sizeof l->list[role]);
    }
}

/* Each identity of VehicleID's test list has one image in the gallery; cameras are all different, or true matches would be junk. */
static void check_draw(const fet__reid_listing *l)
{
    const fet__reid_list *gallery = &l->list[FET__REID_GALLERY], *query = &l->list[FET__REID_QUERY];
    for (int i = 1; i < gallery->count; i++)
        require(gallery->images[i].id > gallery->images[i - 1].id);
    for (int i = 0; i < query->count; i++) {
        int same = 0;
        for (int k = 0; k < gallery->count; k++) {
            same += gallery->images[k].id == query->images[i].id;
            require(gallery->images[k].camera != query->images[i].camera);
        }
        require(same == 1);
    }
}

static void names(fet__reid_listing *l, const char *format, char *text)
{
    for (char *line = text, *end; line; line = end) {
        char camera[FET__REID_CAMERA];
        end = strchr(line, '\n');
        if (end)
            *end++ = 0;
        if (strcmp(format, "plain") == 0) {
            if (fet__reid_plain_camera(camera, line))
                require(camera[0] && strncmp(camera, line, strlen(camera)) == 0 && !strpbrk(camera, "_."));
        } else if (fet__reid_take_name(l, format, line) != FET_OK) {
            require(strncmp(fet_error_message(), "set/folder/", 11) == 0);
        }
    }
}

static void run(fet__reid_listing *l, const char *format, char *text, size_t size)
{
    static const char *const named[] = {"market1501", "dukemtmc", "personx", "veri", "vehiclex", "plain"};
    for (size_t i = 0; i < FET_COUNT(named); i++)
        if (strcmp(format, named[i]) == 0)
            names(l, format, text);
    if (strcmp(format, "msmt17") == 0 || strcmp(format, "vehicleid") == 0) {
        bool taken = fet__reid_take_list(l, format, text, size) == FET_OK;
        require(taken || strncmp(fet_error_message(), "list: line ", 11) == 0 ||
                strncmp(fet_error_message(), "set/test/", 9) == 0);
        if (taken && strcmp(format, "vehicleid") == 0)
            check_draw(l);
    }
    if (strcmp(format, "csv") == 0) {
        l->root = "set/images.csv";
        require(fet__reid_take_csv(l, text, size) == FET_OK || strncmp(fet_error_message(), "set/images.csv", 14) == 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const fet__reid_options options = {0};
    fet__arena arena = {0};
    fet__reid_listing l = {.arena = &arena, .root = "set", .options = &options};
    const uint8_t *end = size ? memchr(data, '\n', size) : NULL;
    char format[16], *text;
    size_t length = end ? (size_t)(end - data) : 0, rest = end ? size - length - 1 : 0;
    if (!end || length >= sizeof format)
        return 0;
    memcpy(format, data, length);
    format[length] = 0;
    text = malloc(rest + 1);
    require(text != NULL);
    memcpy(text, end + 1, rest);
    text[rest] = 0;
    run(&l, format, text, rest);
    check(&l);
    free(text);
    fet__arena_fini(&arena);
    return 0;
}
