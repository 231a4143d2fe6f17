/* lm.h: a language model: embedding, blocks, a last norm, a head of its own or the embedding again.
 * Positions are the mixers' affair. */
#ifndef MN_LAYER_LM_H
#define MN_LAYER_LM_H

#include "layer/block.h"
#include "layer/head.h"

typedef struct mn__lm {
    size_t n_vocab, width, n_block;
    bool tied;
    bool recompute;   /* keep the blocks' inputs alone, and run each again before its backward */
    double std;       /* of the first values of embedding and head */
    bool cut;         /* these end at three deviations */
    mn__block *block; /* [n_block], borrowed */
    mn__norm norm;
    mn__param embedding; /* [n_vocab][width] */
    mn__param head;      /* [n_vocab][width], unless tied */
} mn__lm;

/* Tokens of n_seq sequences of `len`, and what follows each: below 0 where nobody asks. Both in
 * [.., n_vocab), which the caller has checked. */
typedef struct mn__lm_batch {
    mn__shape shape;
    const int32_t *token, *target;
    double scale; /* gradients are those of scale times the sum of losses: 1 / tokens of a step */
} mn__lm_batch;

/* Names: embedding, block.I.*, norm, head. */
void mn__lm_declare(mn__lm *l, mn__params *list);
/* The loss, and with `backward` the gradients of all parameters, auxiliary losses included. aux:
 * their sum, or NULL. */
mn__nll mn__lm_loss(mn__lm *l, const mn__env *env, const mn__lm_batch *b, bool backward,
                    double *aux);
/* logits [n_seq * len][n_vocab] */
void mn__lm_logits(mn__lm *l, const mn__env *env, mn__shape s, const int32_t *token,
                   mn__real *logits);

#endif
