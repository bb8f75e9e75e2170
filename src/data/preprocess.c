/* One image from file to normalised floats. Two halves: `base` decodes (and resizes where chance comes after that) and
 * gives the same pixels each time, so that it can be cached; `finish` makes the random choices and normalises.
 *
 *   frame of the plan   base                                               finish
 *   fit                 decode, cover height x width / crop_pct, crop      steps, normalise, erase
 *   pad and crop        decode, resize as above with no margin             pad-crop, steps, normalise, erase
 *   resized crop        decode                                             random resized crop, steps, normalise, erase */
#include "data/data_int.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAX_SIDE 16384
#define MAX_PIXELS 200000000              /* of one image, unless the caller gives a limit */
#define MAX_FILE_BYTES ((int64_t)1 << 30) /* an uncompressed image of the largest size fits */

/* ---- files ----------------------------------------------------------------------------------------------- */

static fet_status read_failed(const char *path, const char *why)
{
    return FET_FAIL(FET_E_IO, "cannot read %s: %s", fet__show(path), why);
}

static fet_status reserve(fet__file_buffer *b, size_t bytes)
{
    if (bytes <= b->capacity)
        return FET_OK;
    size_t capacity = bytes + bytes / 2 + 4096;
    unsigned char *data = fet__alloc_raw(capacity, 1);
    if (!data)
        return FET_E_NOMEM;
    fet__free(b->data);
    b->data = data;
    b->capacity = capacity;
    return FET_OK;
}

static fet_status read_open(fet__file_buffer *b, int fd, const char *path)
{
    struct stat s;
    if (fstat(fd, &s) != 0)
        return read_failed(path, strerror(errno));
    if (!S_ISREG(s.st_mode))
        return read_failed(path, S_ISDIR(s.st_mode) ? "it is a folder" : "it is not a regular file");
    if (s.st_size > MAX_FILE_BYTES)
        return FET_FAIL(FET_E_FORMAT, "%s: %lld bytes are too many for an image (limit %lld)", fet__show(path),
                        (long long)s.st_size, (long long)MAX_FILE_BYTES);
    fet_status st = reserve(b, (size_t)s.st_size);
    if (st != FET_OK)
        return st;
    size_t at = 0;
    while (at < (size_t)s.st_size) {
        ssize_t got = read(fd, b->data + at, (size_t)s.st_size - at);
        if (got < 0 && errno != EINTR)
            return read_failed(path, strerror(errno));
        if (got == 0)
            break; /* it shrank meanwhile: the decoder sees what there is */
        at += got > 0 ? (size_t)got : 0;
    }
    b->size = at;
    return FET_OK;
}

/* Read rather than mapped: for files of a few kB that is faster, and a file that shrinks under a mapping kills. */
fet_status fet__file_buffer_read(fet__file_buffer *b, const char *path)
{
    b->size = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a pipe must not hang here */
    if (fd < 0)
        return read_failed(path, strerror(errno));
    fet_status st = read_open(b, fd, path);
    close(fd);
    return st;
}

void fet__file_buffer_fini(fet__file_buffer *b)
{
    fet__free(b->data);
    memset(b, 0, sizeof *b);
}

/* ---- options --------------------------------------------------------------------------------------------- */

fet_status fet__preprocess_check(const fet__preprocess *p)
{
    if (p->height < 1 || p->width < 1 || p->height > MAX_SIDE || p->width > MAX_SIDE)
        return FET_FAIL(FET_E_ARG, "an image size of %d x %d is not within 1..%d", p->height, p->width, MAX_SIDE);
    if (!(p->crop_pct == 0 || (p->crop_pct > 0.01 && p->crop_pct <= 1)))
        return FET_FAIL(FET_E_ARG, "a crop share of %g is neither 0 nor in (0.01, 1]", p->crop_pct);
    if (p->filter < FET__NEAREST || p->filter > FET__LANCZOS)
        return FET_FAIL(FET_E_ARG, "unknown resize filter %d", (int)p->filter);
    if (p->max_pixels < 0)
        return FET_FAIL(FET_E_ARG, "a pixel limit of %lld is negative", (long long)p->max_pixels);
    for (int c = 0; c < 3; c++)
        if (!isfinite(p->mean[c]) || !isfinite(p->std[c]) || p->std[c] <= 0)
            return FET_FAIL(FET_E_ARG, "mean %g, std %g of channel %d are not usable", p->mean[c], p->std[c], c);
    return FET_OK;
}

/* ---- resizing --------------------------------------------------------------------------------------------- */

/* Replace `im` by the result in `next`. */
static void move_image(fet__image *im, fet__image *next)
{
    fet__image_fini(im);
    *im = *next;
    *next = (fet__image){0};
}

/* A thin line of an image becomes huge when its short side grows: such a size is refused, not tried. */
static fet_status check_scaled(const fet__image *im, int64_t height, int64_t width, const char *name,
                               const fet__preprocess *p)
{
    int64_t limit = p->max_pixels ? p->max_pixels : MAX_PIXELS;
    if (height <= limit / width)
        return FET_OK;
    return FET_FAIL(FET_E_FORMAT, "%s: %d x %d pixels would grow to %lld x %lld, over the limit of %lld pixels",
                    fet__show(name), im->height, im->width, (long long)height, (long long)width, (long long)limit);
}

static fet_status resize_to(fet__image *im, int height, int width, fet__filter f)
{
    fet__image next = {0};
    if (im->height == height && im->width == width)
        return FET_OK;
    fet_status st = fet__image_resize(&next, im, 0, 0, im->height, im->width, height, width, f);
    if (st == FET_OK)
        move_image(im, &next);
    return st;
}

/* Keep the aspect and cover height x width, which differ: one side becomes exact, the other is longer or equal. */
static fet_status cover(fet__image *im, int height, int width, const char *name, const fet__preprocess *p)
{
    int64_t h = height, w = width;
    if ((int64_t)im->height * width <= (int64_t)im->width * height)
        w = h * im->width / im->height;
    else
        h = w * im->height / im->width;
    fet_status st = check_scaled(im, h, w, name, p);
    return st == FET_OK ? resize_to(im, (int)h, (int)w, p->filter) : st;
}

static fet_status fit(fet__image *im, const char *name, const fet__preprocess *p, double crop_pct)
{
    fet__image next = {0};
    fet_status st = FET_OK;
    if (crop_pct == 0)
        return resize_to(im, p->height, p->width, p->filter);
    int height = (int)floor(p->height / crop_pct), width = (int)floor(p->width / crop_pct);
    if (im->height == height && im->width == width && height == p->height && width == p->width)
        return FET_OK;
    if (p->height == p->width) {
        st = fet__image_resize_short_crop(&next, im, height, p->height, p->width, p->filter);
    } else {
        st = cover(im, height, width, name, p);
        if (st == FET_OK)
            st = fet__image_center_crop(&next, im, p->height, p->width);
    }
    if (st == FET_OK)
        move_image(im, &next);
    return st;
}

/* Resize and crop where no random crop comes first. */
static fet_status frame(fet__image *im, const char *name, const fet__preprocess *p, const fet__augment_plan *a)
{
    if (!a || a->frame == FET__FRAME_FIT)
        return fit(im, name, p, p->crop_pct);
    if (a->frame == FET__FRAME_PAD_CROP)
        return fit(im, name, p, p->crop_pct > 0 ? 1 : 0);
    return FET_OK;
}

fet_status fet__preprocess_base(fet__image *out, const void *data, size_t size, const char *name,
                                const fet__preprocess *p, const fet__augment_plan *a)
{
    fet__decode_options decode = {.max_pixels = p->max_pixels, .ignore_exif = p->ignore_exif, .name = name};
    fet_status st = fet__image_decode(out, data, size, &decode);
    if (st != FET_OK)
        return st;
    st = frame(out, name, p, a);
    if (st != FET_OK)
        fet__image_fini(out);
    return st;
}

/* ---- chance ---------------------------------------------------------------------------------------------- */

fet_status fet__preprocess_finish(float *out, const fet__image *base, const fet__preprocess *p,
                                  const fet__augment_plan *a, fet__rng *r)
{
    fet__image im = {0};
    if (!a || (a->frame == FET__FRAME_FIT && a->count == 0)) {
        fet__image_normalize(out, base, p->mean, p->std);
    } else {
        fet_status st = fet__augment_pixels(&im, base, p, a, r);
        if (st != FET_OK)
            return st;
        fet__image_normalize(out, &im, p->mean, p->std);
        fet__image_fini(&im);
    }
    if (p->standardize)
        fet__float_standardize(out, (int64_t)p->height * p->width);
    if (a)
        fet__erase_random(out, p->height, p->width, &a->erase, r);
    return FET_OK;
}

fet_status fet__preprocess_file(float *out, const char *path, const fet__preprocess *p, const fet__augment_plan *a,
                                fet__rng *r)
{
    fet__file_buffer file = {0};
    fet__image base = {0};
    fet_status st;
    FET_TRY(fet__preprocess_check(p));
    FET_TRY(fet__file_buffer_read(&file, path));
    FET_TRY(fet__preprocess_base(&base, file.data, file.size, path, p, a));
    FET_TRY(fet__preprocess_finish(out, &base, p, a, r));
done:
    fet__image_fini(&base);
    fet__file_buffer_fini(&file);
    return st;
}

fet_status fet__preprocess_image(float *out, const fet__image *image, const fet__preprocess *p,
                                 const fet__augment_plan *a, fet__rng *r)
{
    fet__image base = {0};
    fet_status st;
    FET_TRY(fet__preprocess_check(p));
    if (a && a->frame == FET__FRAME_RESIZED_CROP)
        return fet__preprocess_finish(out, image, p, a, r);
    FET_TRY(fet__image_copy(&base, image));
    FET_TRY(frame(&base, "picture", p, a));
    FET_TRY(fet__preprocess_finish(out, &base, p, a, r));
done:
    fet__image_fini(&base);
    return st;
}
