/* Pictures: data.decode and data.resize (tensors named after a picture file and a recipe), and the folder of bad
 * pictures, where what happens to each file is part of the contract. */
#include "parity/image_make.h"
#include "parity/parity.h"

#include <string.h>

static fet_status compare(parity_case *c, const char *folder, const fet__entry *e, double tolerance)
{
    fet_status st;
    image_made m;
    int64_t count;

    FET_TRY(image_make(&m, folder, e->name));
    count = (int64_t)m.height * m.width * 3;
    if (m.planes)
        st = parity_compare(c, e->name, m.planes, FET_F32, count, PARITY_ABS, 1e-6);
    else if (e->shape.rank == 3 && (e->shape.dim[0] != m.height || e->shape.dim[1] != m.width))
        st = FET_FAIL(FET_E_VERIFY, "%s is %d x %d, not %s", e->name, m.height, m.width, fet__shape_text(&e->shape));
    else
        st = parity_compare(c, e->name, m.picture.pixels, FET_U8, count, PARITY_ABS, tolerance);
    image_made_fini(&m);
done:
    return st;
}

static fet_status compare_all(parity_case *c)
{
    fet_status st = FET_OK;
    char *folder = fet__path_join(c->folder, parity_text(c, "image_dir", "images"));

    if (!folder)
        return FET_E_NOMEM;
    for (int i = 0; i < fet__tensors_count(c->t) && st == FET_OK; i++)
        st = compare(c, folder, fet__tensors_at(c->t, i), 0.0);
    fet__free(folder);
    return st;
}

fet_status parity_decode(parity_case *c)
{
    return compare_all(c);
}

fet_status parity_resize(parity_case *c)
{
    return compare_all(c);
}

/* ---- bad pictures -------------------------------------------------------------------------------------------- */

/* What must happen to a file: MAY when the specification leaves it open. `words`: one of these, '|' between, is in
 * the message. */
typedef enum verdict { REFUSED, READ, MAY } verdict;
typedef struct bad_row {
    const char *file;
    verdict want;
    const char *words;
} bad_row;

static const bad_row bad_rows[] = {
    {"bad_crc.png", REFUSED, "checksum|crc|stream"},
    {"bad_depth.png", REFUSED, "malformed"},
    {"chunk_len_overflow.png", REFUSED, "malformed|truncated"},
    {"empty.jpg", REFUSED, "empty"},
    {"exif_bad_offset.jpg", READ, NULL},
    {"exif_loop.jpg", READ, NULL},
    {"garbage_scan.jpg", MAY, "JPEG"},
    {"huge_dims.jpg", REFUSED, "too large"},
    {"huge_dims.png", REFUSED, "too large"},
    {"idat_bomb.png", MAY, "PNG"},
    {"palette_index_oob.png", MAY, "PNG"},
    {"palette_missing.png", REFUSED, "malformed"},
    {"short_idat.png", REFUSED, "short|enough|truncated|end"},
    {"soi_only.jpg", REFUSED, "truncated"},
    {"text.jpg", REFUSED, "not a JPEG"},
    {"truncated.png", REFUSED, "truncated"},
    {"truncated.webp", REFUSED, "truncated"},
    {"truncated_half.jpg", REFUSED, "truncated"},
    {"truncated_header.jpg", REFUSED, "truncated"},
    {"zero_dims.jpg", REFUSED, "malformed"},
    {"zero_width.png", REFUSED, "malformed"},
};

static bool has_any(const char *message, const char *words)
{
    while (words && *words) {
        size_t length = strcspn(words, "|");
        char word[32];

        snprintf(word, sizeof word, "%.*s", (int)length, words);
        if (strcasestr(message, word))
            return true;
        words += length + (words[length] == '|');
    }
    return false;
}

/* A file that the table does not know must only not crash, and be named when it is refused. */
static bool as_wanted(const char *file, fet_status st, const char *message)
{
    const bad_row *row = NULL;

    if (st != FET_OK && !strstr(message, file))
        return false;
    for (size_t i = 0; i < FET_COUNT(bad_rows); i++) {
        if (strcmp(bad_rows[i].file, file) == 0)
            row = &bad_rows[i];
    }
    if (!row)
        return true;
    if (st == FET_OK)
        return row->want != REFUSED;
    return row->want != READ && has_any(message, row->words);
}

static fet_status check_bad(parity_case *c, const char *file)
{
    char *path = fet__path_join(c->path, file);
    fet__image im;
    fet_status st;

    if (!path)
        return FET_E_NOMEM;
    st = fet__image_read(&im, path, NULL);
    parity_note(c, file, as_wanted(file, st, st == FET_OK ? "" : fet_error_message()) ? 0.0 : 1.0, 0.5);
    fet__image_fini(&im);
    fet__free(path);
    return FET_OK;
}

fet_status parity_images_bad(parity_case *c)
{
    char **names = NULL;
    int count = 0;
    fet_status st = fet__list_folder(&names, &count, c->path);

    for (int i = 0; i < count && st == FET_OK; i++)
        st = check_bad(c, names[i]);
    fet__names_free(names, count);
    return st;
}
