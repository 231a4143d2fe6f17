/* tokenizer.h: the tokenizer of a training run: of any GGUF file that holds one, a model's or one
 * that was learned here. */
#ifndef MN_TRAIN_TOKENIZER_H
#define MN_TRAIN_TOKENIZER_H

#include <stddef.h>
#include <stdint.h>

#include "gguf/gguf_write.h"
#include "mneme/status.h"
#include "text/vocab.h"
#include "train/documents.h"
#include "train/shard.h"

typedef struct mn__tokenizer {
    mn__gguf *file;
    mn__vocab *vocab;
    uint64_t hash;   /* of what cuts texts (text/vocab_hash.h) */
    int32_t n_token; /* V */
    int32_t end;     /* stands behind each document */
} mn__tokenizer;

/* MN_EINPUT: no GGUF file, no tokenizer in it that libllama takes, none with an end token; MN_EIO,
 * MN_ENOMEM. Immutable then, for any number of threads. */
mn_status mn__tokenizer_open(mn__tokenizer *out, const char *path, mn_diag *diag);
void mn__tokenizer_close(mn__tokenizer *t); /* one of zeros is fine */
/* Its keys (tokenizer.*) into a file to be written: a checkpoint, an exported model. */
void mn__tokenizer_put(const mn__tokenizer *t, mn__gguf_writer *w);

typedef struct mn__tokenizer_params {
    int32_t n_vocab; /* 320 to 262,144 tokens in all; 258 are bytes and special */
    uint64_t
        sample_bytes; /* of the corpus, drawn by lines; 0: 16 MiB. Memory: about 30 times that */
    double coverage;  /* of the sample's characters that get a token; 0: 0.9995 */
    uint64_t seed;    /* of the draw */
} mn__tokenizer_params;

/* Learn a tokenizer by SentencePiece (BPE with byte fallback, nothing normalised, no space put in
 * front, digits alone) from the texts of these files, which are read twice, and write it to `out`
 * as keys of tokenizer.ggml.model = llama: libllama's reader gives the trainer's own ids. One
 * token,
 * </s>, begins and ends texts. Same files, parameters and release of SentencePiece: same tokenizer.
 * MN_EUSAGE: parameters; MN_EINPUT: as mn__documents_next, a corpus too small for so many tokens,
 * or a build without SentencePiece; MN_EIO, MN_ENOMEM. */
mn_status mn__tokenizer_learn(const char *out, const char *const *path, size_t n_path,
                              const mn__documents_params *documents,
                              const mn__tokenizer_params *params, mn_diag *diag);

/* Tokens of all documents of these files as one shard. Parts of a document are cut into tokens one
 * by one, so none reaches over their edge, and a tokenizer that puts a space in front of texts puts
 * one in front of each. *info (or NULL): what was written. Errors as mn__documents_next,
 * mn__vocab_tokenize and mn__shard_commit, with the file's name. */
mn_status mn__tokenizer_shard(const mn__tokenizer *t, const char *out, const char *const *path,
                              size_t n_path, const mn__documents_params *documents,
                              mn__shard_info *info, mn_diag *diag);

#endif
