/* Small JSON files that come with checkpoints (config.json, an index of shards), read within limits. */
#ifndef FET_JSON_TEXT_H
#define FET_JSON_TEXT_H

#include <jansson.h>

#include "base/base.h"

#define FET__JSON_MAX_BYTES (1 << 20)
#define FET__JSON_METADATA_BYTES ((size_t)16 << 20) /* a text in the metadata of a file: class names may be many */

/* ---- json_text.c ----------------------------------------------------------------------------------------- */
/* Parse an object or a list of at most `max_bytes`: shallow, without duplicate keys, of a bounded number of values. The
 * caller drops it with json_decref(). `name` is the file's, for messages. */
fet_status fet__json_load(json_t **out, const char *text, size_t size, size_t max_bytes, const char *name);
/* An object of at most FET__JSON_MAX_BYTES. */
fet_status fet__json_parse(json_t **out, const char *text, size_t size, const char *name);
/* The same from a file. */
fet_status fet__json_read(json_t **out, const char *path);

#endif
