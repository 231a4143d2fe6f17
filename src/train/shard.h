/* shard.h: tokens of many documents in one mapped file (docs/formats.md, "Token shards"): each
 * document's tokens and behind them the vocabulary's end token. */
#ifndef MN_TRAIN_SHARD_H
#define MN_TRAIN_SHARD_H

#include <stddef.h>
#include <stdint.h>

#include "base/file.h"
#include "mneme/status.h"

typedef struct mn__shard_info {
    uint64_t vocab_hash; /* of the tokenizer (tokenizer.h) */
    uint32_t n_vocab;    /* up to 65,536: two bytes a token, else four */
    int32_t end;         /* token behind each document, below n_vocab */
    uint64_t n_token, n_document;
} mn__shard_info;

/* Writing holds one block of 64 KiB. The file appears whole or not at all. One thread a writer. */
typedef struct mn__shard_writer mn__shard_writer;
/* Of `info` the vocabulary alone is read. MN_EUSAGE: no vocabulary, or `end` outside it; MN_EIO,
 * MN_EINPUT (mn__atomic_open), MN_ENOMEM. */
mn_status mn__shard_writer_new(mn__shard_writer **out, const char *path, const mn__shard_info *info,
                               mn_diag *diag);
/* n more tokens of the document. MN_ERANGE: one outside the vocabulary; then only freeing is left.
 * That the disk is full is told by commit. */
mn_status mn__shard_put(mn__shard_writer *w, const int32_t *token, size_t n, mn_diag *diag);
void mn__shard_end_document(mn__shard_writer *w);
/* Make it the file, which stood there before or not; *info (or NULL): what was written. MN_EUSAGE:
 * a document is open, or there is none; MN_EIO. */
mn_status mn__shard_commit(mn__shard_writer *w, mn__shard_info *info, mn_diag *diag);
void mn__shard_writer_free(
    mn__shard_writer *w); /* what was not committed is removed; NULL is fine */

typedef struct mn__shard {
    mn__shard_info info;
    const uint8_t *token; /* [n_token] of token_bytes each, little-endian, in the map */
    unsigned token_bytes; /* 2 or 4 */
    mn__map map;          /* of zeros where the bytes are borrowed */
} mn__shard;

/* Map a shard and read it once: checksums, and that every token is of the vocabulary. vocab_hash:
 * the tokenizer that it must be of. MN_EINPUT with what was wanted and found: no shard, another
 * version, cut, damaged, of another tokenizer; MN_EIO. Immutable then, for any number of threads.
 */
mn_status mn__shard_open(mn__shard *out, const char *path, uint64_t vocab_hash, mn_diag *diag);
/* The same from memory, which is borrowed; `name` stands in sentences. */
mn_status mn__shard_parse(mn__shard *out, const void *data, size_t size, const char *name,
                          uint64_t vocab_hash, mn_diag *diag);
void mn__shard_close(mn__shard *s); /* one of zeros is fine */

/* Tokens [at, at + n) into out; at + n <= n_token. */
void mn__shard_read(const mn__shard *s, uint64_t at, size_t n, int32_t *out);

#endif
