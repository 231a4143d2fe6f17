/* namm_spectrum.h: what every cached token was paid over the last queries, as a spectrogram that is
 * averaged as it comes. A slot's state is a ring of its last attention values and the running mean
 * of each bin's magnitude; both move with the slot. Ref: arXiv 2410.13166.
 *
 *   x[t] = attention of query t, mean over the group; 0 before the token was written
 *   every S queries:  X[f] = sum_m w[m] x[newest W][m] exp(-2 pi j f m / W), w periodic Hann
 *                     mean[f] = a mean[f] + (1 - a) |X[f]|,  a = gamma^S
 *
 * Letters: W window, S hop, F = W/2 + 1 bins. Cost: one add per probability, and every S queries a
 * spectrum per slot: 258 multiply-adds for W = 32. */
#ifndef MN_NAMM_SPECTRUM_H
#define MN_NAMM_SPECTRUM_H

#include "cache/policy_ops.h"
#include "policy/namm.h"

/* The transform with its tables; immutable after init. */
typedef struct mn__namm_stft {
    mn__namm_spectrum of;
    size_t n_bin, n_ring; /* F; values of a ring: W, and room for 15 more where a hop can end among
                             the rows that are shown at once */
    bool half;            /* state in bf16, else in f32 */
    float a;
    float *basis; /* [2 F][W] as in kern.def */
} mn__namm_stft;

/* MN_EINPUT: W not even or not in [2,64], S not in [1,W], gamma not in (0,1) or a float's a = 1. */
mn_status mn__namm_stft_check(const mn__namm_spectrum *of, mn_diag *diag);
/* MN_EINPUT as the check, MN_ENOMEM. */
mn_status mn__namm_stft_init(mn__namm_stft *t, const mn__namm_spectrum *of, bool half,
                             mn_diag *diag);
void mn__namm_stft_fini(mn__namm_stft *t);
/* State of a slot in bytes, zero for a new token; a multiple of the element's size, which is all
 * that it is aligned to. */
size_t mn__namm_stft_bytes(const mn__namm_stft *t);
/* state: of the first slot shown, slots `stride` bytes apart. The hops that end here are
 * transformed. */
void mn__namm_stft_observe(const mn__namm_stft *t, const mn__seen *seen, uint8_t *state,
                           size_t stride);
/* out [F] of one slot whose token is `token`, n_seen tokens after the first: the mean, divided by
 * 1 - a^frames if corrected (0 where there was no frame yet), its logarithm if log. */
void mn__namm_stft_read(const mn__namm_stft *t, const uint8_t *state, int64_t token, int64_t n_seen,
                        float *out);

/* Slots [0, n_slot) of a float each, `stride` bytes apart: multiplied by `decay`, then the
 * rows are added, weight [n_row] each. */
void mn__namm_sum_observe(const mn__seen *seen, const float *weight, float decay, uint8_t *state,
                          size_t stride);
/* weight[r] of a row in the mean over the group: times the number of tokens that the row could see,
 * if by_length. */
void mn__namm_row_weights(const mn__seen *seen, bool by_length, float *weight);

#endif
