/* tokenizer.c: tokenizers from GGUF files, and texts to shards by them. */
#include "train/tokenizer.h"

#include "base/diag.h"
#include "base/heap.h"
#include "text/vocab_hash.h"

mn_status mn__tokenizer_open(mn__tokenizer *out, const char *path, mn_diag *diag)
{
    mn__tokenizer t = {0};
    mn_status st;
    *out = t;
    MN_TRY(mn__gguf_open(&t.file, path, diag));
    const struct gguf_context *meta = mn__gguf_get_context(t.file);
    st = mn__vocab_open(&t.vocab, meta, diag);
    if (st != MN_OK) {
        mn__diag_prefix(diag, "%s", path);
        goto done;
    }
    t.hash = mn__vocab_hash(meta);
    t.n_token = mn__vocab_n_token(t.vocab);
    t.end = mn__vocab_end(t.vocab);
    if (t.end < 0)
        MN_TRY(mn__fail(diag, MN_EINPUT,
                        "%s: a tokenizer with a token that ends texts wanted "
                        "(tokenizer.ggml.eos_token_id), none found",
                        path));
    *out = t;
    return MN_OK;
done:
    mn__tokenizer_close(&t);
    return st;
}

void mn__tokenizer_close(mn__tokenizer *t)
{
    mn__vocab_close(t->vocab);
    mn__gguf_close(t->file);
    *t = (mn__tokenizer){0};
}

void mn__tokenizer_put(const mn__tokenizer *t, mn__gguf_writer *w)
{
    mn__gguf_set_keys_under(w, t->file, "tokenizer.");
}

/* ---- texts to shards ---- */

/* Tokens of a part, in an array that grows. */
static mn_status cut_part(const mn__tokenizer *t, const mn__document_part *part, mn_token_buf *buf,
                          mn_diag *diag)
{
    mn_status st = mn__vocab_tokenize(t->vocab, part->text, part->n, 0, buf, diag);
    if (st != MN_OK || buf->n <= buf->cap) return st;
    const size_t n = buf->n;
    mn__free(buf->data);
    *buf = (mn_token_buf){.data = mn__alloc_array(MN_MEM_OTHER, n, sizeof *buf->data)};
    if (!buf->data) return mn__fail(diag, MN_ENOMEM, "no memory for %zu tokens", n);
    buf->cap = n;
    return mn__vocab_tokenize(t->vocab, part->text, part->n, 0, buf, diag);
}

mn_status mn__tokenizer_shard(const mn__tokenizer *t, const char *out, const char *const *path,
                              size_t n_path, const mn__documents_params *documents,
                              mn__shard_info *info, mn_diag *diag)
{
    const mn__shard_info vocab = {
        .vocab_hash = t->hash, .n_vocab = (uint32_t)t->n_token, .end = t->end};
    mn__shard_writer *w = NULL;
    mn__documents *d = NULL;
    mn__document_part part;
    mn_token_buf buf = {0};
    bool found;
    mn_status st;
    MN_TRY(mn__documents_open(&d, path, n_path, documents, diag));
    MN_TRY(mn__shard_writer_new(&w, out, &vocab, diag));
    for (;;) {
        MN_TRY(mn__documents_next(d, &part, &found, diag));
        if (!found) break;
        if (part.n) {
            st = cut_part(t, &part, &buf, diag);
            if (st != MN_OK) {
                mn__diag_prefix(diag, "%s", mn__documents_path(d));
                goto done;
            }
            MN_TRY(mn__shard_put(w, buf.data, buf.n, diag));
        }
        if (part.ends) mn__shard_end_document(w);
    }
    MN_TRY(mn__shard_commit(w, info, diag));
done:
    mn__free(buf.data);
    mn__documents_close(d);
    mn__shard_writer_free(w);
    return st;
}
