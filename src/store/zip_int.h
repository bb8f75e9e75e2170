/* What zip.c and zip_directory.c share: an archive in memory and its members. */
#ifndef FET_ZIP_INT_H
#define FET_ZIP_INT_H

#include "store/zip.h"

/* libzip and we take a few hundred bytes for a member. Real checkpoints have some thousands. */
#define FET__ZIP_MAX_ENTRIES 65536

#define FET__ZIP_BAD(z, format, ...)                                                                                   \
    FET_FAIL(FET_E_FORMAT, "cannot read %s: malformed zip archive: " format, fet__show((z)->path), __VA_ARGS__)
#define FET__ZIP_UNSUPPORTED(z, format, ...)                                                                           \
    FET_FAIL(FET_E_FORMAT, "cannot read %s: unsupported: " format, fet__show((z)->path), __VA_ARGS__)

typedef struct fet__zip_member {
    fet__zip_entry entry;
    uint64_t header;           /* where its local header begins */
    const unsigned char *data; /* packed_size bytes behind it */
} fet__zip_member;

struct fet__zip {
    fet__arena arena;
    char *path;
    const unsigned char *file;
    size_t size;
    fet__zip_member *members; /* in the directory's order */
    const fet__zip_member **by_name;
    int count;
    struct zip *lib;   /* libzip's view of the same bytes */
    uint64_t inflated; /* bytes given out in memory so far */
};

/* ---- zip_directory.c ------------------------------------------------------------------------------------- */
/* Fill in members and by_name from the archive's directory; afterwards every member's data lies within the file, before
 * the directory, and touches no other member's. */
fet_status fet__zip_directory(fet__zip *z);

#endif
