/* The directory of a zip archive, read as untrusted bytes:
 *
 *     [header name extra data]... [directory entry]... ([zip64 end record][zip64 locator]) [end record comment]
 *
 * libzip does not tell where a member's data begins, and it believes much. Here the end record must close the file, the
 * directory must end where the end records begin, each local header must agree with its directory entry, and the members,
 * sorted by place, must not overlap. Only then are offsets used. */
#include <stdlib.h>
#include <string.h>

#include "store/zip_int.h"

#define HEADER_BYTES 30
#define ENTRY_BYTES 46
#define END_BYTES 22
#define END64_BYTES 56
#define LOCATOR_BYTES 20
#define MAX_COMMENT 65535

enum { FLAG_ENCRYPTED = 1 << 0, FLAG_DESCRIPTOR = 1 << 3, FLAG_STRONG = 1 << 6, FLAG_MASKED = 1 << 13 };
enum { METHOD_STORED = 0, METHOD_DEFLATED = 8 };

static uint16_t u16(const unsigned char *p)
{
    return (uint16_t)(p[0] | p[1] << 8);
}

static uint32_t u32(const unsigned char *p)
{
    return u16(p) | (uint32_t)u16(p + 2) << 16;
}

static uint64_t u64(const unsigned char *p)
{
    return u32(p) | (uint64_t)u32(p + 4) << 32;
}

static bool is_signature(const unsigned char *p, int a, int b)
{
    return p[0] == 'P' && p[1] == 'K' && p[2] == a && p[3] == b;
}

/* ---- where the directory lies ------------------------------------------------------------------------------- */

typedef struct directory {
    uint64_t count, offset, bytes, end; /* end: where end records begin */
} directory;

/* The end record closes the file: its comment's length reaches exactly to the end. */
static fet_status find_end(const fet__zip *z, size_t *out)
{
    size_t last = z->size < END_BYTES ? 0 : z->size - END_BYTES;
    size_t first = last > MAX_COMMENT ? last - MAX_COMMENT : 0;
    for (size_t at = last + 1; z->size >= END_BYTES && at-- > first;) {
        if (is_signature(z->file + at, 5, 6) && u16(z->file + at + 20) == z->size - at - END_BYTES) {
            *out = at;
            return FET_OK;
        }
    }
    return FET__ZIP_BAD(z, "its %zu bytes hold no end record: truncated?", z->size);
}

/* A field of the end record gives way to the zip64 record's when it is all ones; else they must agree. */
static bool merge_field(uint64_t *field, uint64_t ones, uint64_t wide)
{
    if (*field == ones)
        *field = wide;
    return *field == wide;
}

static fet_status read_end64(const fet__zip *z, directory *d, size_t locator)
{
    uint64_t at = u64(z->file + locator + 8);
    if (locator < END64_BYTES || at > locator - END64_BYTES || !is_signature(z->file + at, 6, 6))
        return FET__ZIP_BAD(z, "the zip64 locator at byte %zu points to byte %llu, where no zip64 end record is",
                            locator, (unsigned long long)at);
    const unsigned char *p = z->file + at;
    if (u64(p + 4) != locator - at - 12)
        return FET__ZIP_BAD(z, "the zip64 end record at byte %llu claims %llu bytes", (unsigned long long)at,
                            (unsigned long long)u64(p + 4));
    if (!merge_field(&d->count, 0xffff, u64(p + 32)) || !merge_field(&d->bytes, 0xffffffff, u64(p + 40)) ||
        !merge_field(&d->offset, 0xffffffff, u64(p + 48)))
        return FET__ZIP_BAD(z, "the end record and the zip64 end record at byte %llu disagree", (unsigned long long)at);
    d->end = at;
    return FET_OK;
}

static fet_status find_directory(const fet__zip *z, directory *d)
{
    fet_status st = FET_OK;
    size_t end = 0;
    FET_TRY(find_end(z, &end));
    const unsigned char *p = z->file + end;
    if (u16(p + 4) != 0 || u16(p + 6) != 0 || u16(p + 8) != u16(p + 10))
        return FET__ZIP_UNSUPPORTED(z, "%s", "it is one part of a zip archive in several files");
    *d = (directory){.count = u16(p + 10), .bytes = u32(p + 12), .offset = u32(p + 16), .end = end};
    if (end >= LOCATOR_BYTES && is_signature(p - LOCATOR_BYTES, 6, 7))
        FET_TRY(read_end64(z, d, end - LOCATOR_BYTES));
    if (d->offset > d->end || d->bytes != d->end - d->offset)
        return FET__ZIP_BAD(z, "the directory of %llu bytes at byte %llu does not end at byte %llu, as it must",
                            (unsigned long long)d->bytes, (unsigned long long)d->offset, (unsigned long long)d->end);
    if (d->count > d->bytes / ENTRY_BYTES)
        return FET__ZIP_BAD(z, "a directory of %llu bytes cannot have %llu entries", (unsigned long long)d->bytes,
                            (unsigned long long)d->count);
    if (d->count > FET__ZIP_MAX_ENTRIES)
        return FET__ZIP_UNSUPPORTED(z, "the archive has %llu members; the limit is %d", (unsigned long long)d->count,
                                    FET__ZIP_MAX_ENTRIES);
done:
    return st;
}

/* ---- one member --------------------------------------------------------------------------------------------- */

/* Fixed fields of a directory entry or of a local header. */
typedef struct record {
    uint64_t at; /* of the record, for messages */
    unsigned flags, method;
    uint32_t crc;
    uint64_t size, packed, header;
    const unsigned char *name, *extra;
    size_t name_bytes, extra_bytes;
} record;

/* Values that did not fit are in the zip64 extra field, in this order. */
static bool read_wide(record *r, bool with_header, const unsigned char *p, size_t bytes)
{
    uint64_t *fields[] = {&r->size, &r->packed, with_header ? &r->header : NULL};
    for (size_t i = 0; i < FET_COUNT(fields); i++) {
        if (!fields[i] || *fields[i] != 0xffffffff)
            continue;
        if (bytes < 8)
            return false;
        *fields[i] = u64(p);
        p += 8;
        bytes -= 8;
    }
    return true;
}

static fet_status read_extra(const fet__zip *z, record *r, bool with_header)
{
    const unsigned char *p = r->extra;
    size_t left = r->extra_bytes;
    while (left >= 4) {
        size_t bytes = u16(p + 2);
        if (bytes > left - 4 || (u16(p) == 1 && !read_wide(r, with_header, p + 4, bytes)))
            return FET__ZIP_BAD(z, "an extra field of the record at byte %llu is cut short", (unsigned long long)r->at);
        p += 4 + bytes;
        left -= 4 + bytes;
    }
    return FET_OK;
}

static fet_status read_entry(const fet__zip *z, const directory *d, uint64_t at, record *r)
{
    const unsigned char *p = z->file + at;
    if (d->end - at < ENTRY_BYTES || !is_signature(p, 1, 2))
        return FET__ZIP_BAD(z, "no directory entry at byte %llu", (unsigned long long)at);
    *r = (record){.at = at,
                  .flags = u16(p + 8),
                  .method = u16(p + 10),
                  .crc = u32(p + 16),
                  .packed = u32(p + 20),
                  .size = u32(p + 24),
                  .name_bytes = u16(p + 28),
                  .extra_bytes = u16(p + 30),
                  .header = u32(p + 42),
                  .name = p + ENTRY_BYTES};
    r->extra = r->name + r->name_bytes;
    if (r->name_bytes + r->extra_bytes + u16(p + 32) > d->end - at - ENTRY_BYTES)
        return FET__ZIP_BAD(z, "the directory entry at byte %llu reaches beyond the directory", (unsigned long long)at);
    if (r->name_bytes == 0 || memchr(r->name, 0, r->name_bytes))
        return FET__ZIP_BAD(z, "the directory entry at byte %llu has no proper name", (unsigned long long)at);
    return read_extra(z, r, true);
}

static fet_status read_header(const fet__zip *z, const directory *d, const char *name, uint64_t at, record *r)
{
    if (d->offset < HEADER_BYTES || at > d->offset - HEADER_BYTES || !is_signature(z->file + at, 3, 4))
        return FET__ZIP_BAD(z, "member '%s' should begin at byte %llu, where no header is", fet__show(name),
                            (unsigned long long)at);
    const unsigned char *p = z->file + at;
    *r = (record){.at = at,
                  .flags = u16(p + 6),
                  .method = u16(p + 8),
                  .crc = u32(p + 14),
                  .packed = u32(p + 18),
                  .size = u32(p + 22),
                  .name_bytes = u16(p + 26),
                  .extra_bytes = u16(p + 28),
                  .name = p + HEADER_BYTES};
    r->extra = r->name + r->name_bytes;
    if (r->name_bytes + r->extra_bytes > d->offset - at - HEADER_BYTES)
        return FET__ZIP_BAD(z, "the header of member '%s' at byte %llu reaches into the directory", fet__show(name),
                            (unsigned long long)at);
    return read_extra(z, r, false);
}

/* The two descriptions of a member agree. Sizes and checksum may stand behind the data instead of in the header. */
static bool agree(const record *entry, const record *header)
{
    if (entry->method != header->method || ((entry->flags ^ header->flags) & FLAG_ENCRYPTED) ||
        entry->name_bytes != header->name_bytes || memcmp(entry->name, header->name, entry->name_bytes) != 0)
        return false;
    return header->flags & FLAG_DESCRIPTOR ||
           (entry->size == header->size && entry->packed == header->packed && entry->crc == header->crc);
}

static fet_status check_method(const fet__zip *z, const char *name, const record *r)
{
    if (r->flags & (FLAG_ENCRYPTED | FLAG_STRONG | FLAG_MASKED))
        return FET__ZIP_UNSUPPORTED(z, "member '%s' of the zip archive is encrypted", fet__show(name));
    if (r->method != METHOD_STORED && r->method != METHOD_DEFLATED)
        return FET__ZIP_UNSUPPORTED(z, "member '%s' of the zip archive is packed by method %u (read are 0 and 8)",
                                    fet__show(name), r->method);
    if (r->method == METHOD_STORED && r->size != r->packed)
        return FET__ZIP_BAD(z, "member '%s' is stored, but its sizes %llu and %llu differ", fet__show(name),
                            (unsigned long long)r->size, (unsigned long long)r->packed);
    return FET_OK;
}

static fet_status read_member(fet__zip *z, const directory *d, const record *r)
{
    fet_status st = FET_OK;
    fet__zip_member *m = &z->members[z->count];
    char *name = fet__arena_alloc(&z->arena, r->name_bytes + 1, 1);
    record header;
    if (!name)
        return FET_E_NOMEM;
    memcpy(name, r->name, r->name_bytes);
    FET_TRY(check_method(z, name, r));
    FET_TRY(read_header(z, d, name, r->header, &header));
    if (!agree(r, &header))
        return FET__ZIP_BAD(z, "the directory and the header at byte %llu describe member '%s' differently",
                            (unsigned long long)r->header, fet__show(name));
    const unsigned char *data = header.extra + header.extra_bytes;
    if (r->packed > (uint64_t)(z->file + d->offset - data))
        return FET__ZIP_BAD(z, "member '%s' of %llu bytes at byte %llu reaches beyond the data", fet__show(name),
                            (unsigned long long)r->packed, (unsigned long long)(data - z->file));
    m->entry = (fet__zip_entry){name, r->size, r->packed, r->method == METHOD_STORED, r->crc};
    m->header = r->header;
    m->data = data;
    z->count++;
done:
    return st;
}

/* ---- all members together ----------------------------------------------------------------------------------- */

static int by_place(const void *a, const void *b)
{
    const fet__zip_member *const *p = a, *const *q = b;
    return ((*p)->header > (*q)->header) - ((*p)->header < (*q)->header);
}

static int by_name(const void *a, const void *b)
{
    const fet__zip_member *const *p = a, *const *q = b;
    return strcmp((*p)->entry.name, (*q)->entry.name);
}

static fet_status check_members(fet__zip *z)
{
    size_t count = (size_t)z->count;
    if (count == 0)
        return FET_OK;
    for (int i = 0; i < z->count; i++)
        z->by_name[i] = &z->members[i];
    qsort(z->by_name, count, sizeof *z->by_name, by_place);
    for (size_t i = 1; i < count; i++) {
        const fet__zip_member *a = z->by_name[i - 1], *b = z->by_name[i];
        if (a->data + a->entry.packed_size > z->file + b->header)
            return FET__ZIP_BAD(z, "members '%s' and '%s' overlap at byte %llu", fet__show(a->entry.name),
                                fet__show(b->entry.name), (unsigned long long)b->header);
    }
    qsort(z->by_name, count, sizeof *z->by_name, by_name);
    for (size_t i = 1; i < count; i++) {
        if (strcmp(z->by_name[i - 1]->entry.name, z->by_name[i]->entry.name) == 0)
            return FET__ZIP_BAD(z, "duplicate member '%s'", fet__show(z->by_name[i]->entry.name));
    }
    return FET_OK;
}

fet_status fet__zip_directory(fet__zip *z)
{
    fet_status st = FET_OK;
    directory d;
    FET_TRY(find_directory(z, &d));
    z->members = fet__arena_alloc(&z->arena, (size_t)d.count + 1, sizeof *z->members);
    z->by_name = fet__arena_alloc(&z->arena, (size_t)d.count + 1, sizeof *z->by_name);
    if (!z->members || !z->by_name)
        return FET_E_NOMEM;
    uint64_t at = d.offset;
    for (uint64_t i = 0; i < d.count; i++) {
        record r;
        FET_TRY(read_entry(z, &d, at, &r));
        FET_TRY(read_member(z, &d, &r));
        at += ENTRY_BYTES + r.name_bytes + r.extra_bytes + u16(z->file + at + 32);
    }
    if (at != d.end)
        return FET__ZIP_BAD(z, "%llu bytes behind the last directory entry, at byte %llu, belong to none",
                            (unsigned long long)(d.end - at), (unsigned long long)at);
    FET_TRY(check_members(z));
done:
    return st;
}
