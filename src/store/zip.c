/* A zip archive in memory: opening it twice, and its members' contents. The directory is read here (zip_directory.c), for
 * places and strict checks, and by libzip, which inflates; where the two readings differ the archive is refused, since it
 * would then be one thing to us and another to the next program. */
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <zip.h>
#include <zlib.h>

#include "store/store_int.h"
#include "store/zip_int.h"

/* Deflate cannot do better than 1032 to 1: what claims more lies. All members of a file together may take this much
 * memory: a re-packed checkpoint inflates a few times its size, a bomb a thousand times. */
#define DEFLATE_RATIO 1032
#define INFLATED_BASE ((uint64_t)48 << 20)
#define INFLATED_RATIO 16

/* ---- libzip's view ------------------------------------------------------------------------------------------ */

static fet_status open_lib(fet__zip *z)
{
    zip_error_t error;
    zip_error_init(&error);
    zip_source_t *source = zip_source_buffer_create(z->file, z->size, 0, &error);
    if (source) {
        z->lib = zip_open_from_source(source, ZIP_RDONLY, &error);
        if (!z->lib)
            zip_source_free(source);
    }
    fet_status st = FET_OK;
    if (!z->lib)
        st = FET__ZIP_BAD(z, "%s", fet__show(zip_error_strerror(&error)));
    zip_error_fini(&error);
    return st;
}

static bool same_member(const fet__zip *z, int i)
{
    const fet__zip_entry *e = &z->members[i].entry;
    zip_stat_t s;
    const zip_uint64_t wanted =
        ZIP_STAT_NAME | ZIP_STAT_SIZE | ZIP_STAT_COMP_SIZE | ZIP_STAT_CRC | ZIP_STAT_COMP_METHOD;
    if (zip_stat_index(z->lib, (zip_uint64_t)i, ZIP_FL_ENC_RAW, &s) != 0 || (s.valid & wanted) != wanted)
        return false;
    return strcmp(s.name, e->name) == 0 && s.size == e->size && s.comp_size == e->packed_size && s.crc == e->crc &&
           s.comp_method == (e->stored ? ZIP_CM_STORE : ZIP_CM_DEFLATE);
}

static fet_status compare_views(const fet__zip *z)
{
    if (zip_get_num_entries(z->lib, 0) != z->count)
        return FET__ZIP_BAD(z, "its directory has %d members or %lld, depending on the reader", z->count,
                            (long long)zip_get_num_entries(z->lib, 0));
    for (int i = 0; i < z->count; i++) {
        if (!same_member(z, i))
            return FET__ZIP_BAD(z, "member '%s' differs, depending on the reader", fet__show(z->members[i].entry.name));
    }
    return FET_OK;
}

/* ---- open, close, look-ups ---------------------------------------------------------------------------------- */

fet_status fet__zip_open(fet__zip **out, const void *data, size_t size, const char *name)
{
    fet_status st = FET_OK;
    fet__zip *z = NULL;
    *out = NULL;
    FET_TRY(FET_NEW(z, 1));
    z->file = data;
    z->size = size;
    z->path = fet__arena_strdup(&z->arena, name);
    if (!z->path) {
        st = FET_E_NOMEM;
        goto done;
    }
    FET_TRY(fet__zip_directory(z));
    FET_TRY(open_lib(z));
    FET_TRY(compare_views(z));
    *out = z;
    z = NULL;
done:
    fet__zip_close(z);
    return st;
}

void fet__zip_close(fet__zip *z)
{
    if (!z)
        return;
    if (z->lib)
        zip_discard(z->lib);
    fet__arena_fini(&z->arena);
    fet__free(z);
}

int fet__zip_count(const fet__zip *z)
{
    return z->count;
}

const fet__zip_entry *fet__zip_at(const fet__zip *z, int i)
{
    return &z->members[i].entry;
}

static int name_to_member(const void *name, const void *member)
{
    return strcmp(name, (*(const fet__zip_member *const *)member)->entry.name);
}

int fet__zip_find(const fet__zip *z, const char *name)
{
    if (z->count == 0)
        return -1;
    const fet__zip_member **found = bsearch(name, z->by_name, (size_t)z->count, sizeof *z->by_name, name_to_member);
    return found ? (int)(*found - z->members) : -1;
}

/* ---- contents ----------------------------------------------------------------------------------------------- */

static fet_status check_sum(const fet__zip *z, const fet__zip_entry *e, const void *data)
{
    uint32_t crc = (uint32_t)crc32_z(0, data, (size_t)e->size);
    if (crc != e->crc)
        return FET__ZIP_BAD(z, "the checksum of member '%s' is %08x and should be %08x: damaged", fet__show(e->name),
                            crc, e->crc);
    return FET_OK;
}

/* Before memory is taken for what a member claims to hold. */
static fet_status check_inflated(const fet__zip *z, const fet__zip_entry *e)
{
    if (e->size / DEFLATE_RATIO > e->packed_size)
        return FET__ZIP_BAD(z, "member '%s' cannot hold %llu bytes in %llu packed ones", fet__show(e->name),
                            (unsigned long long)e->size, (unsigned long long)e->packed_size);
    uint64_t limit = INFLATED_BASE + INFLATED_RATIO * (uint64_t)z->size;
    if (e->size > limit - z->inflated)
        return FET_FAIL(
            FET_E_FORMAT,
            "cannot read %s: too large: with member '%s' of the zip archive inflated it takes more than the "
            "limit of %llu MiB (16 times the file and 48)",
            fet__show(z->path), fet__show(e->name), (unsigned long long)(limit >> 20));
    return FET_OK;
}

static fet_status read_all(const fet__zip *z, const fet__zip_entry *e, zip_file_t *f, unsigned char *to)
{
    for (uint64_t at = 0; at < e->size;) {
        zip_int64_t got = zip_fread(f, to + at, e->size - at);
        if (got <= 0)
            return FET__ZIP_BAD(z, "member '%s' does not inflate (%llu of %llu bytes came)", fet__show(e->name),
                                (unsigned long long)at, (unsigned long long)e->size);
        at += (uint64_t)got;
    }
    char more;
    if (zip_fread(f, &more, 1) != 0)
        return FET__ZIP_BAD(z, "member '%s' inflates to other contents than the %llu bytes it claims",
                            fet__show(e->name), (unsigned long long)e->size);
    return FET_OK;
}

static fet_status inflate_member(fet__zip *z, int i, fet__tensors *owner, const void **data)
{
    fet_status st = FET_OK;
    const fet__zip_entry *e = &z->members[i].entry;
    FET_TRY(check_inflated(z, e));
    zip_file_t *f = zip_fopen_index(z->lib, (zip_uint64_t)i, 0);
    if (!f)
        return FET__ZIP_BAD(z, "member '%s' does not open: %s", fet__show(e->name), fet__show(zip_strerror(z->lib)));
    unsigned char *to = fet__tensors_alloc(owner, (size_t)e->size);
    st = to ? read_all(z, e, f, to) : FET_E_NOMEM;
    zip_fclose(f);
    z->inflated += e->size;
    *data = to;
done:
    return st;
}

fet_status fet__zip_data(fet__zip *z, int i, fet__tensors *owner, const void **data, size_t *size)
{
    fet_status st = FET_OK;
    const fet__zip_entry *e = &z->members[i].entry;
    *data = NULL;
    if (e->stored)
        *data = z->members[i].data;
    else
        FET_TRY(inflate_member(z, i, owner, data));
    FET_TRY(check_sum(z, e, *data));
    *size = (size_t)e->size;
done:
    return st;
}
