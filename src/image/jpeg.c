/* JPEG through the libjpeg API of libjpeg-turbo, with its defaults: exact integer inverse DCT and smooth chroma
 * upsampling. libjpeg reports errors by a call that must not return, hence the longjmp: all state that survives it
 * lives in one jpeg_job, never in local variables. */
#include "image/image_int.h"

#include <limits.h>
#include <setjmp.h>
#include <string.h>

#include <jpeglib.h>

#include <jerror.h>

/* Ordinary progressive files have about ten scans; each costs a pass over the picture, however few bytes it has. */
#define MAX_SCANS 500
#define EXIF_MARKER (JPEG_APP0 + 1)

typedef struct jpeg_job {
    struct jpeg_decompress_struct c;
    struct jpeg_error_mgr errors;
    struct jpeg_source_mgr source;
    struct jpeg_progress_mgr progress;
    jmp_buf escape;
    const fet__encoded *e;
    fet__image *out;
    uint8_t *cmyk_row;
    int orientation;
    bool header_done;
    bool at_end; /* libjpeg asked for more bytes than there are */
    fet_status st;
    char warning[JMSG_LENGTH_MAX]; /* the first one */
} jpeg_job;

static jpeg_job *job_of(j_common_ptr c)
{
    return c->client_data;
}

/* ---- errors, warnings, scans ---- */

static _Noreturn void leave(jpeg_job *j, fet_status st)
{
    j->st = st;
    longjmp(j->escape, 1);
}

static _Noreturn void leave_truncated(jpeg_job *j)
{
    if (!j->header_done)
        leave(j, FET_FAIL(FET_E_FORMAT, "%s: truncated JPEG (%zu bytes, within its header)", j->e->name, j->e->size));
    leave(j, FET_FAIL(FET_E_FORMAT, "%s: truncated JPEG (%zu bytes, row %u of %u reached)", j->e->name, j->e->size,
                      j->c.output_scanline, j->c.image_height));
}

static _Noreturn void on_error(j_common_ptr c)
{
    jpeg_job *j = job_of(c);
    char text[JMSG_LENGTH_MAX];

    c->err->format_message(c, text);
    if (c->err->msg_code == JERR_OUT_OF_MEMORY)
        leave(j, FET_FAIL(FET_E_NOMEM, "%s: out of memory while decoding JPEG: %s", j->e->name, text));
    leave(j, FET_FAIL(FET_E_FORMAT, "%s: malformed or unsupported JPEG: %s", j->e->name, text));
}

static void on_message(j_common_ptr c, int level)
{
    jpeg_job *j = job_of(c);

    if (level >= 0)
        return;
    if (j->at_end && !j->e->allow_truncated)
        leave_truncated(j);
    if (c->err->num_warnings++ == 0)
        c->err->format_message(c, j->warning);
}

static void on_progress(j_common_ptr c)
{
    jpeg_job *j = job_of(c);

    if (c->is_decompressor && ((j_decompress_ptr)c)->input_scan_number > MAX_SCANS)
        leave(j, FET_FAIL(FET_E_FORMAT, "%s: malformed JPEG: more than %d scans", j->e->name, MAX_SCANS));
}

/* ---- bytes from memory ---- */

/* Called when the bytes are used up. A baseline picture may have all its pixels and only lack the end marker, so
 * it goes on with one made up: if pixels were missing, a warning follows and becomes the error (on_message). Of
 * the other kinds nobody can tell what is missing. */
static boolean fill(j_decompress_ptr c)
{
    static const JOCTET end_marker[2] = {0xFF, JPEG_EOI};
    jpeg_job *j = job_of((j_common_ptr)c);

    j->at_end = true;
    if (!j->header_done)
        leave_truncated(j);
    if (!j->e->allow_truncated && (c->progressive_mode || c->arith_code || jpeg_has_multiple_scans(c)))
        leave_truncated(j);
    j->source.next_input_byte = end_marker;
    j->source.bytes_in_buffer = sizeof end_marker;
    return TRUE;
}

static void skip(j_decompress_ptr c, long count)
{
    jpeg_job *j = job_of((j_common_ptr)c);

    if (count <= 0)
        return;
    if ((size_t)count > j->source.bytes_in_buffer) {
        fill(c);
        return;
    }
    j->source.next_input_byte += count;
    j->source.bytes_in_buffer -= (size_t)count;
}

static void no_source_work(j_decompress_ptr c)
{
    (void)c;
}

static void give_source(jpeg_job *j)
{
    j->source.init_source = no_source_work;
    j->source.fill_input_buffer = fill;
    j->source.skip_input_data = skip;
    j->source.resync_to_restart = jpeg_resync_to_restart;
    j->source.term_source = no_source_work;
    j->source.next_input_byte = j->e->data;
    j->source.bytes_in_buffer = j->e->size;
    j->c.src = &j->source;
}

/* ---- the picture ---- */

static void find_orientation(jpeg_job *j)
{
    j->orientation = 1;
    if (j->e->ignore_exif)
        return;
    for (jpeg_saved_marker_ptr m = j->c.marker_list; m; m = m->next) {
        if (m->marker == EXIF_MARKER && m->data_length >= 6 && memcmp(m->data, "Exif\0\0", 6) == 0) {
            j->orientation = fet__exif_orientation(j->e, m->data, m->data_length);
            return;
        }
    }
}

static void read_header(jpeg_job *j)
{
    int parts;
    fet_status st;

    jpeg_save_markers(&j->c, EXIF_MARKER, 0xFFFF);
    jpeg_read_header(&j->c, TRUE);
    j->header_done = true;
    parts = j->c.num_components;
    if (parts != 1 && parts != 3 && parts != 4)
        leave(j, FET_FAIL(FET_E_FORMAT, "%s: unsupported JPEG: %d colour components", j->e->name, parts));
    st = fet__picture_check(j->e, "JPEG", j->c.image_height, j->c.image_width);
    if (st != FET_OK)
        leave(j, st);
    find_orientation(j);
}

/* libjpeg keeps the coefficients of a whole progressive picture: two bytes each, up to four components, sides
 * padded to the largest block group. */
static long memory_limit(const jpeg_job *j)
{
    int64_t height = ((int64_t)j->c.image_height + 31) / 32 * 32, width = ((int64_t)j->c.image_width + 31) / 32 * 32;
    int64_t limit = height * width * 8 + (INT64_C(16) << 20);

    return limit > LONG_MAX ? LONG_MAX : (long)limit;
}

/* Ink amounts of one row to RGB. Adobe stores them inverted, so that 255 means no ink. */
static void cmyk_to_rgb(uint8_t *rgb, const uint8_t *cmyk, int width, bool inverted)
{
    for (int x = 0; x < width; x++, rgb += 3, cmyk += 4) {
        int white = inverted ? cmyk[3] : 255 - cmyk[3];

        for (int i = 0; i < 3; i++) {
            int product = (inverted ? 255 - cmyk[i] : cmyk[i]) * white + 128;
            int value = white - (((product >> 8) + product) >> 8);

            rgb[i] = (uint8_t)(value < 0 ? 0 : value);
        }
    }
}

static void read_row(jpeg_job *j)
{
    uint8_t *row = j->out->pixels + (size_t)j->c.output_scanline * j->c.output_width * 3;
    JSAMPROW to = j->cmyk_row ? j->cmyk_row : row;

    if (jpeg_read_scanlines(&j->c, &to, 1) == 1 && j->cmyk_row)
        cmyk_to_rgb(row, j->cmyk_row, (int)j->c.output_width, j->c.saw_Adobe_marker);
}

static void read_pixels(jpeg_job *j)
{
    fet_status st;

    j->c.out_color_space = j->c.num_components == 4 ? JCS_CMYK : JCS_RGB;
    j->c.mem->max_memory_to_use = memory_limit(j);
    jpeg_start_decompress(&j->c);
    st = fet__picture_create(j->out, j->e, "JPEG", j->c.output_height, j->c.output_width);
    if (st != FET_OK)
        leave(j, st);
    if (j->c.out_color_space == JCS_CMYK) {
        j->cmyk_row = fet__alloc(j->c.output_width, 4);
        if (!j->cmyk_row)
            leave(j, FET_E_NOMEM);
    }
    while (j->c.output_scanline < j->c.output_height)
        read_row(j);
    jpeg_finish_decompress(&j->c);
    if (j->at_end && j->errors.num_warnings == 0)
        fet__warn("%s: the JPEG has no end marker", j->e->name);
    else if (j->at_end)
        fet__warn("%s: truncated JPEG: the missing part is gray (%s)", j->e->name, j->warning);
    else if (j->errors.num_warnings > 0)
        fet__warn("%s: damaged JPEG data, decoded as far as possible: %s", j->e->name, j->warning);
}

static void begin(jpeg_job *j, fet__image *out, const fet__encoded *e)
{
    memset(j, 0, sizeof *j);
    j->e = e;
    j->out = out;
    j->c.err = jpeg_std_error(&j->errors);
    j->errors.error_exit = on_error;
    j->errors.emit_message = on_message;
    j->c.client_data = j;
}

static fet_status run(jpeg_job *j)
{
    if (setjmp(j->escape) == 0) {
        jpeg_create_decompress(&j->c);
        j->progress.progress_monitor = on_progress;
        j->c.progress = &j->progress;
        give_source(j);
        read_header(j);
        if (j->out)
            read_pixels(j);
    }
    fet__free(j->cmyk_row);
    jpeg_destroy_decompress(&j->c);
    return j->st;
}

fet_status fet__jpeg_decode(fet__image *out, int *orientation, const fet__encoded *e)
{
    jpeg_job j;
    fet_status st;

    begin(&j, out, e);
    st = run(&j);
    *orientation = j.orientation;
    return st;
}

fet_status fet__jpeg_probe(int *height, int *width, int *orientation, const fet__encoded *e)
{
    jpeg_job j;
    fet_status st;

    begin(&j, NULL, e);
    st = run(&j);
    *height = (int)j.c.image_height;
    *width = (int)j.c.image_width;
    *orientation = j.orientation;
    return st;
}
