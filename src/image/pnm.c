/* PPM and PGM in their binary forms, P6 and P5, with 8 or 16 bits a sample. Samples are scaled from 0..maxval to
 * 0..255 and rounded. Only the first picture of a file is read. The other letters of the family are refused by
 * name. */
#include "image/image_int.h"

#include <string.h>

typedef struct pnm {
    const fet__encoded *e;
    size_t at; /* next byte to read */
    int channels;
    int64_t height, width, maxval;
} pnm;

static fet_status malformed(const pnm *p, const char *reason)
{
    return FET_FAIL(FET_E_FORMAT, "%s: malformed PPM: %s", p->e->name, reason);
}

static fet_status truncated(const pnm *p)
{
    return FET_FAIL(FET_E_FORMAT, "%s: truncated PPM (%zu bytes)", p->e->name, p->e->size);
}

static bool is_space(int c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

/* White space and comments, of which at least one byte must stand before a number. */
static void skip_space(pnm *p)
{
    while (p->at < p->e->size) {
        if (p->e->data[p->at] == '#') {
            while (p->at < p->e->size && p->e->data[p->at] != '\n')
                p->at++;
        } else if (is_space(p->e->data[p->at])) {
            p->at++;
        } else {
            return;
        }
    }
}

static fet_status read_number(pnm *p, int64_t *out)
{
    size_t begin;

    skip_space(p);
    begin = p->at;
    *out = 0;
    for (; p->at < p->e->size && p->e->data[p->at] >= '0' && p->e->data[p->at] <= '9'; p->at++) {
        if (p->at - begin >= 10)
            return malformed(p, "a number in its header is too long");
        *out = *out * 10 + (p->e->data[p->at] - '0');
    }
    if (p->at == p->e->size)
        return truncated(p);
    if (p->at == begin || (!is_space(p->e->data[p->at]) && p->e->data[p->at] != '#'))
        return malformed(p, "its header is not three numbers");
    return FET_OK;
}

static fet_status read_header(pnm *p)
{
    fet_status st;
    char kind = (char)p->e->data[1];

    if (kind != '5' && kind != '6')
        return FET_FAIL(FET_E_FORMAT, "%s: unsupported PNM file: P%c (only binary P5 and P6 are read)", p->e->name,
                        kind);
    p->channels = kind == '6' ? 3 : 1;
    p->at = 2;
    FET_TRY(read_number(p, &p->width));
    FET_TRY(read_number(p, &p->height));
    FET_TRY(read_number(p, &p->maxval));
    FET_TRY(fet__picture_check(p->e, "PPM", p->height, p->width));
    if (p->maxval < 1 || p->maxval > 65535)
        st = FET_FAIL(FET_E_FORMAT, "%s: malformed PPM: largest sample value %lld is not in 1..65535", p->e->name,
                      (long long)p->maxval);
    else if (!is_space(p->e->data[p->at]))
        st = malformed(p, "no white space before its samples");
    else
        p->at++;
done:
    return st;
}

/* Samples must be there before memory for them is taken. */
static fet_status check_samples(const pnm *p)
{
    uint64_t bytes = (uint64_t)p->height * (uint64_t)p->width * (uint64_t)p->channels * (p->maxval > 255 ? 2 : 1);

    return bytes > p->e->size - p->at ? truncated(p) : FET_OK;
}

static fet_status sample(const pnm *p, size_t i, uint8_t *out)
{
    const uint8_t *from = p->e->data + p->at;
    uint32_t maxval = (uint32_t)p->maxval, value = maxval > 255 ? fet__be16(from + 2 * i) : from[i];

    if (value > maxval)
        return FET_FAIL(FET_E_FORMAT, "%s: malformed PPM: sample %u exceeds the largest value %u", p->e->name, value,
                        maxval);
    *out = (uint8_t)((value * 255 + maxval / 2) / maxval);
    return FET_OK;
}

fet_status fet__pnm_probe(int *height, int *width, int *orientation, const fet__encoded *e)
{
    pnm p = {.e = e};
    fet_status st = read_header(&p);

    *height = (int)p.height;
    *width = (int)p.width;
    *orientation = 1;
    return st;
}

fet_status fet__pnm_decode(fet__image *out, int *orientation, const fet__encoded *e)
{
    fet_status st;
    pnm p = {.e = e};
    size_t count;

    *orientation = 1;
    FET_TRY(read_header(&p));
    FET_TRY(check_samples(&p));
    FET_TRY(fet__picture_create(out, e, "PPM", p.height, p.width));
    count = (size_t)p.height * (size_t)p.width * (size_t)p.channels;
    if (p.channels == 3 && p.maxval == 255) {
        memcpy(out->pixels, e->data + p.at, count);
        goto done;
    }
    for (size_t i = 0; i < count; i++) {
        uint8_t *to = out->pixels + (p.channels == 3 ? i : 3 * i);

        FET_TRY(sample(&p, i, to));
        if (p.channels == 1)
            to[1] = to[2] = to[0];
    }
done:
    return st;
}
