/* EXIF: the orientation tag and nothing else, and the turn to upright. The block is a small TIFF file inside the
 * picture, as untrusted as the rest of it: a malformed one is ignored with a warning, because it never keeps the
 * pixels from being read. */
#include "image/image_int.h"

#include <string.h>

enum {
    TAG_ORIENTATION = 0x0112,
    TAG_EXIF_FOLDER = 0x8769,
    TYPE_SHORT = 3,
    TYPE_LONG = 4,
    ENTRY_BYTES = 12,
    MAX_FOLDERS = 16
};

typedef struct tiff {
    const uint8_t *data;
    size_t size;
    bool big_endian;
    int orientation;
    const char *problem; /* first thing found wrong, or NULL */
} tiff;

static uint32_t get16(const tiff *t, size_t at)
{
    return t->big_endian ? fet__be16(t->data + at) : fet__le16(t->data + at);
}

static uint32_t get32(const tiff *t, size_t at)
{
    return t->big_endian ? fet__be32(t->data + at) : fet__le32(t->data + at);
}

/* Whether a directory with all its entries lies inside the block at `at`. */
static bool folder_fits(const tiff *t, size_t at)
{
    return at >= 8 && t->size >= 2 && at <= t->size - 2 && get16(t, at) * (size_t)ENTRY_BYTES <= t->size - 2 - at;
}

static void read_entry(tiff *t, size_t at, size_t folder)
{
    uint32_t tag = get16(t, at), type = get16(t, at + 2), count = get32(t, at + 4);

    if (tag == TAG_EXIF_FOLDER && type == TYPE_LONG && get32(t, at + 8) == folder)
        t->problem = "a directory refers to itself";
    if (tag != TAG_ORIENTATION)
        return;
    if (type != TYPE_SHORT || count != 1)
        t->problem = "the orientation is not one 16-bit number";
    else if (get16(t, at + 8) < 1 || get16(t, at + 8) > 8)
        t->problem = "the orientation is not in 1..8";
    else
        t->orientation = (int)get16(t, at + 8);
}

/* Follow the chain of directories only to see whether it ends; what hangs behind the first one is of no use here. */
static void check_chain(tiff *t, size_t first)
{
    size_t seen[MAX_FOLDERS], at = first;

    for (int count = 0; folder_fits(t, at); count++) {
        size_t link = at + 2 + get16(t, at) * (size_t)ENTRY_BYTES;

        for (int i = 0; i < count; i++) {
            if (seen[i] == at) {
                t->problem = "its directories form a loop";
                return;
            }
        }
        if (count == MAX_FOLDERS || t->size - link < 4)
            return;
        seen[count] = at;
        at = get32(t, link);
    }
}

static void parse(tiff *t)
{
    size_t folder;

    if (t->size < 8 || (memcmp(t->data, "II", 2) != 0 && memcmp(t->data, "MM", 2) != 0)) {
        t->problem = "no TIFF header";
        return;
    }
    t->big_endian = t->data[0] == 'M';
    folder = get32(t, 4);
    if (get16(t, 2) != 42)
        t->problem = "no TIFF header";
    else if (!folder_fits(t, folder))
        t->problem = "its directory lies outside of the block";
    if (t->problem)
        return;
    for (size_t i = 0; i < get16(t, folder) && !t->problem; i++)
        read_entry(t, folder + 2 + i * ENTRY_BYTES, folder);
    if (!t->problem)
        check_chain(t, folder);
}

int fet__exif_orientation(const fet__encoded *e, const uint8_t *block, size_t size)
{
    tiff t = {.data = block, .size = size, .orientation = 1};

    if (size >= 6 && memcmp(block, "Exif\0\0", 6) == 0) {
        t.data += 6;
        t.size -= 6;
    }
    parse(&t);
    if (!t.problem)
        return t.orientation;
    if (!e->quiet)
        fet__warn("%s: the EXIF block is ignored: %s", e->name, t.problem);
    return 1;
}

/* Where upright pixel (y, x) is stored: row y0 + y * yy + x * yx, column likewise. */
typedef struct turn {
    bool swap, flip_rows,
        flip_columns; /* rows and columns change places; then the stored row / column runs backwards */
} turn;

static const turn turns[9] = {
    [1] = {false, false, false}, [2] = {false, false, true}, [3] = {false, true, true}, [4] = {false, true, false},
    [5] = {true, false, false},  [6] = {true, true, false},  [7] = {true, true, true},  [8] = {true, false, true},
};

fet_status fet__image_upright(fet__image *im, int orientation)
{
    turn t = turns[orientation];
    fet__image out;
    fet_status st;

    if (orientation == 1)
        return FET_OK;
    st = fet__image_create_raw(&out, t.swap ? im->width : im->height, t.swap ? im->height : im->width);
    if (st != FET_OK)
        return st;
    for (int y = 0; y < out.height; y++) {
        uint8_t *to = out.pixels + (size_t)y * out.width * 3;

        for (int x = 0; x < out.width; x++, to += 3) {
            int row = t.swap ? x : y, column = t.swap ? y : x;

            row = t.flip_rows ? im->height - 1 - row : row;
            column = t.flip_columns ? im->width - 1 - column : column;
            memcpy(to, im->pixels + ((size_t)row * im->width + column) * 3, 3);
        }
    }
    fet__image_fini(im);
    *im = out;
    return FET_OK;
}
