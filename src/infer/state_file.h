/* state_file.h: the frame of a session file (docs/formats.md): head, texts, a body that others read
 * and write, and the checksum over all of it. Bytes pass in blocks; nothing is held whole. */
#ifndef MN_STATE_FILE_H
#define MN_STATE_FILE_H

#include "base/file.h"
#include "cache/cache_state.h"
#include "mneme/session.h"

#define MN__STATE_MAGIC "MNEMESES"
enum { MN__STATE_VERSION = 4, MN__STATE_BLOCK = 1 << 16 };

/* As it lies in the file, little-endian, no gaps. */
typedef struct mn__state_head {
    char magic[8];
    uint32_t version, head_bytes; /* of this struct */
    uint64_t file_bytes, model_hash;
    uint32_t n_layer, n_head, n_kv_head, head_dim;
    uint32_t kv_type, compact;
    uint32_t name_bytes, policy_bytes, budget_bytes,
        n_pin;                                     /* what follows the head, in this order */
    uint64_t slot_bytes, lane_bytes, n_query_ring; /* policy state */
    uint64_t n_ctx, chunk, seed;
    int64_t n_seen, n_prompt, query_begin;
    uint64_t n_nan, kv_peak_bytes;
    double forward_s, evict_s;
    int64_t last_token;
} mn__state_head;

/* What follows the head. */
typedef struct mn__state_text {
    const char *name, *policy, *budget; /* of the model; NUL-terminated */
    const mn_pin *pin;                  /* [head.n_pin] */
} mn__state_text;

/* ---- out ---- */

typedef struct mn__state_writer {
    mn__atomic out;
    const char *path;
    uint8_t *block; /* [MN__STATE_BLOCK] */
    size_t n;       /* bytes of it that wait */
    uint64_t hash, n_written;
    mn_diag *diag;
} mn__state_writer;

/* Open and write head and texts; magic, version and sizes of the head are filled in, body_bytes
 * count towards file_bytes. On failure nothing stays open. */
mn_status mn__state_create(mn__state_writer *w, const char *path, mn__state_head *head,
                           const mn__state_text *text, uint64_t body_bytes, mn_diag *diag);
mn_status mn__state_put(void *writer, const void *data, size_t n); /* mn__put_fn */
mn_status mn__state_commit(mn__state_writer *w); /* checksum; the file stands there whole */
void mn__state_abort(mn__state_writer *w);       /* also fine after commit */

/* ---- in ---- */

typedef struct mn__state_reader {
    int fd;
    const char *path;
    uint8_t *block; /* [MN__STATE_BLOCK] */
    size_t at, n;   /* bytes of it that were taken, that are there */
    uint64_t left;  /* before the checksum, the block's included */
    uint64_t hash, wanted_hash;
    bool has_failed; /* and told so, path included */
    mn__state_head head;
    mn__state_text text;
    char *text_data;
    mn_pin *pin;
    mn_diag *diag;
} mn__state_reader;

/* Is this the beginning of a session file? */
bool mn__state_is_magic(const void *data, size_t n);
/* Open, hold size and checksum of the whole file against what it says, then read head and texts;
 * the body is next. Numbers of the head are as the file has them. MN_EINPUT (no session file, of
 * another version, cut short, damaged), MN_EIO, MN_ENOMEM. On failure nothing stays open. */
mn_status mn__state_open(mn__state_reader *r, const char *path, mn_diag *diag);
mn_status mn__state_get(void *reader, void *data, size_t n);
uint64_t mn__state_left(void *reader);
mn_status mn__state_skip(mn__state_reader *r, uint64_t n);
/* All was read, and it was what was checked. */
mn_status mn__state_end(mn__state_reader *r);
void mn__state_close(mn__state_reader *r); /* also fine when not open */

/* "bf16"; "unknown" beyond the known ones. */
const char *mn__state_kv_name(uint32_t kv_type);

#endif
