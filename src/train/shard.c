/* shard.c: a header of 128 bytes, then tokens. The header is written last, over zeros: it holds the
 * counts and the checksum of what came before it. */
#include "train/shard.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/diag.h"
#include "base/heap.h"

enum { VERSION = 1, HEADER_BYTES = 128, BLOCK_BYTES = 1 << 16, SMALL_VOCAB = 1 << 16 };
static const char magic[8] = {'m', 'n', '-', 's', 'h', 'a', 'r', 'd'};

/* As it lies in the file; little-endian, as every machine that mneme is built for. */
typedef struct header {
    char magic[8];
    uint32_t version, token_bytes;
    uint64_t vocab_hash;
    uint32_t n_vocab;
    int32_t end;
    uint64_t n_token, n_document;
    uint64_t token_sum;   /* by blocks, as sum_block says */
    uint8_t reserved[64]; /* zeros */
    uint64_t header_sum;  /* of all that stands before it */
} header;
_Static_assert(sizeof(header) == HEADER_BYTES, "no padding");

/* The sum of a block, the last one maybe shorter, is seeded by that of the blocks before it. */
static uint64_t sum_block(const void *block, size_t n, uint64_t sum)
{
    return mn__hash64(block, n, sum);
}

static uint64_t sum_header(const header *h)
{
    return mn__hash64(h, offsetof(header, header_sum), 0);
}

static uint32_t token_bytes_of(uint32_t n_vocab)
{
    return n_vocab <= SMALL_VOCAB ? 2 : 4;
}

/* ---- out ---- */

struct mn__shard_writer {
    mn__atomic file;
    header head;
    bool is_open; /* tokens without an end */
    size_t n;     /* bytes of the block */
    uint8_t block[BLOCK_BYTES];
};

mn_status mn__shard_writer_new(mn__shard_writer **out, const char *path, const mn__shard_info *info,
                               mn_diag *diag)
{
    mn_status st;
    static const header none;
    *out = NULL;
    if (!info->n_vocab || info->n_vocab > INT32_MAX || info->end < 0 ||
        (uint32_t)info->end >= info->n_vocab)
        return mn__fail(diag, MN_EUSAGE, "%s: an end token below %u wanted, %d found", path,
                        info->n_vocab, info->end);
    mn__shard_writer *w = mn__alloc_zero(MN_MEM_OTHER, sizeof *w);
    if (!w) return mn__fail(diag, MN_ENOMEM, "%s: no memory to write it", path);
    memcpy(w->head.magic, magic, sizeof magic);
    w->head.version = VERSION;
    w->head.token_bytes = token_bytes_of(info->n_vocab);
    w->head.vocab_hash = info->vocab_hash;
    w->head.n_vocab = info->n_vocab;
    w->head.end = info->end;
    MN_TRY(mn__atomic_open(&w->file, path, diag));
    fwrite(&none, sizeof none, 1, w->file.file); /* a failure sticks to the stream */
    *out = w;
    return MN_OK;
done:
    mn__free(w);
    return st;
}

void mn__shard_writer_free(mn__shard_writer *w)
{
    if (!w) return;
    mn__atomic_abort(&w->file);
    mn__free(w);
}

static void flush_block(mn__shard_writer *w)
{
    if (!w->n) return;
    w->head.token_sum = sum_block(w->block, w->n, w->head.token_sum);
    fwrite(w->block, w->n, 1, w->file.file);
    w->n = 0;
}

static void put(mn__shard_writer *w, int32_t token)
{
    uint32_t wide = (uint32_t)token;
    uint16_t small = (uint16_t)token;
    if (w->head.token_bytes == 2)
        memcpy(w->block + w->n, &small, sizeof small);
    else
        memcpy(w->block + w->n, &wide, sizeof wide);
    w->n += w->head.token_bytes;
    w->head.n_token++;
    if (w->n == BLOCK_BYTES) flush_block(w);
}

mn_status mn__shard_put(mn__shard_writer *w, const int32_t *token, size_t n, mn_diag *diag)
{
    for (size_t i = 0; i < n; i++) {
        if (token[i] < 0 || (uint32_t)token[i] >= w->head.n_vocab)
            return mn__fail(diag, MN_ERANGE, "%s: tokens below %u wanted, %d found", w->file.path,
                            w->head.n_vocab, token[i]);
        put(w, token[i]);
    }
    w->is_open |= n > 0;
    return MN_OK;
}

void mn__shard_end_document(mn__shard_writer *w)
{
    put(w, w->head.end);
    w->head.n_document++;
    w->is_open = false;
}

static mn__shard_info info_of(const header *h)
{
    return (mn__shard_info){.vocab_hash = h->vocab_hash,
                            .n_vocab = h->n_vocab,
                            .end = h->end,
                            .n_token = h->n_token,
                            .n_document = h->n_document};
}

mn_status mn__shard_commit(mn__shard_writer *w, mn__shard_info *info, mn_diag *diag)
{
    if (w->is_open || !w->head.n_document)
        return mn__fail(diag, MN_EUSAGE, "%s: %s", w->file.path,
                        w->is_open ? "its last document has no end" : "it has no document");
    flush_block(w);
    w->head.header_sum = sum_header(&w->head);
    if (fseek(w->file.file, 0, SEEK_SET) == 0) fwrite(&w->head, sizeof w->head, 1, w->file.file);
    mn_status st = mn__atomic_commit(&w->file, diag);
    if (st == MN_OK && info) *info = info_of(&w->head);
    return st;
}

/* ---- in ---- */

static int32_t token_at(const mn__shard *s, uint64_t i)
{
    uint32_t wide;
    uint16_t small;
    if (s->token_bytes == 2) {
        memcpy(&small, s->token + 2 * i, sizeof small);
        return small;
    }
    memcpy(&wide, s->token + 4 * i, sizeof wide);
    return (int32_t)wide;
}

static mn_status check_header(const header *h, const char *name, uint64_t vocab_hash, mn_diag *diag)
{
    if (memcmp(h->magic, magic, sizeof magic) != 0)
        return mn__fail(diag, MN_EINPUT, "%s: a shard of tokens wanted, something else found",
                        name);
    if (h->version != VERSION)
        return mn__fail(diag, MN_EINPUT, "%s: a shard of version %d wanted, %u found", name,
                        VERSION, h->version);
    if (h->header_sum != sum_header(h))
        return mn__fail(diag, MN_EINPUT,
                        "%s: its header is damaged: checksum %016llx wanted, "
                        "%016llx found",
                        name, (unsigned long long)h->header_sum, (unsigned long long)sum_header(h));
    if (h->n_vocab > INT32_MAX || h->end < 0 || (uint32_t)h->end >= h->n_vocab ||
        h->token_bytes != token_bytes_of(h->n_vocab))
        return mn__fail(diag, MN_EINPUT,
                        "%s: its header contradicts itself: %u tokens of %u bytes,"
                        " end token %d",
                        name, h->n_vocab, h->token_bytes, h->end);
    if (h->vocab_hash != vocab_hash)
        return mn__fail(diag, MN_EINPUT,
                        "%s: a shard of the tokenizer %016llx wanted, one of "
                        "%016llx found",
                        name, (unsigned long long)vocab_hash, (unsigned long long)h->vocab_hash);
    return MN_OK;
}

static mn_status check_tokens(const mn__shard *s, const char *name, uint64_t want_sum,
                              mn_diag *diag)
{
    uint64_t sum = 0, n_end = 0, bytes = s->info.n_token * s->token_bytes;
    int32_t token = -1;
    for (uint64_t at = 0; at < bytes; at += BLOCK_BYTES)
        sum = sum_block(s->token + at, bytes - at < BLOCK_BYTES ? bytes - at : BLOCK_BYTES, sum);
    if (sum != want_sum)
        return mn__fail(diag, MN_EINPUT,
                        "%s: its tokens are damaged: checksum %016llx wanted, "
                        "%016llx found",
                        name, (unsigned long long)want_sum, (unsigned long long)sum);
    for (uint64_t i = 0; i < s->info.n_token; i++) {
        token = token_at(s, i);
        if (token < 0 || (uint32_t)token >= s->info.n_vocab)
            return mn__fail(diag, MN_EINPUT, "%s: token %llu: below %u wanted, %d found", name,
                            (unsigned long long)i, s->info.n_vocab, token);
        n_end += token == s->info.end;
    }
    if (!s->info.n_document || n_end < s->info.n_document || token != s->info.end)
        return mn__fail(diag, MN_EINPUT, "%s: %llu documents wanted, %llu end tokens found", name,
                        (unsigned long long)s->info.n_document, (unsigned long long)n_end);
    return MN_OK;
}

mn_status mn__shard_parse(mn__shard *out, const void *data, size_t size, const char *name,
                          uint64_t vocab_hash, mn_diag *diag)
{
    header h;
    *out = (mn__shard){0};
    if (size < sizeof h)
        return mn__fail(diag, MN_EINPUT, "%s: a shard's header of %d bytes wanted, %zu found", name,
                        HEADER_BYTES, size);
    memcpy(&h, data, sizeof h);
    mn_status st = check_header(&h, name, vocab_hash, diag);
    if (st != MN_OK) return st;
    size_t bytes = size - sizeof h;
    if (bytes % h.token_bytes || bytes / h.token_bytes != h.n_token)
        return mn__fail(diag, MN_EINPUT, "%s: %llu tokens of %u bytes wanted, %zu bytes found%s",
                        name, (unsigned long long)h.n_token, h.token_bytes, bytes,
                        bytes / h.token_bytes < h.n_token ? ": it was cut" : "");
    mn__shard s = {.info = info_of(&h),
                   .token = (const uint8_t *)data + sizeof h,
                   .token_bytes = h.token_bytes};
    st = check_tokens(&s, name, h.token_sum, diag);
    if (st == MN_OK) *out = s;
    return st;
}

mn_status mn__shard_open(mn__shard *out, const char *path, uint64_t vocab_hash, mn_diag *diag)
{
    mn__map map;
    *out = (mn__shard){0};
    mn_status st = mn__map_open(&map, path, diag);
    if (st != MN_OK) return st;
    st = mn__shard_parse(out, map.data, map.size, path, vocab_hash, diag);
    if (st == MN_OK)
        out->map = map;
    else
        mn__map_close(&map);
    return st;
}

void mn__shard_close(mn__shard *s)
{
    if (s->map.data) mn__map_close(&s->map);
    *s = (mn__shard){0};
}

void mn__shard_read(const mn__shard *s, uint64_t at, size_t n, int32_t *out)
{
    for (size_t i = 0; i < n; i++) out[i] = token_at(s, at + i);
}
