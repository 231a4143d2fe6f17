/* shape.h: the NAMMs that evolution can begin with. */
#ifndef MN_EVOLVE_SHAPE_H
#define MN_EVOLVE_SHAPE_H

#include "policy/namm.h"

/* By name, perhaps with options, `paper:window=16,hop=8,log` (docs/evolve.md): `paper` (arXiv
 * 2410.13166: age and spectrum, BAM, threshold), with what it compares BAM to, `paper-additive` (no
 * gate) and `paper-mlp`; `linear`, `mlp`, `bam` and `mix` (four components) over recent attention
 * shared by heads and pooled over neighbours, acting at the prompt's end or, with chunk=, while
 * reading. Statistics are 0 and 1, parameters zero but for the papers' last bias, which keeps
 * everything at first. is_free: scores say how much is kept; a budget is a cap, or there is none.
 * *out the caller's (mn__namm_free). MN_EUSAGE: no such name or option, the nearest told; a value
 * that no file may have. */
mn_status mn__shape_new(mn__namm **out, const char *text, bool is_free, mn_diag *diag);
/* Parameters but the biases of the last layer drawn with deviation sigma: hidden layers do not
 * learn from zeros, and components of a mix that begin alike stay alike. */
void mn__shape_draw(mn__namm *namm, double sigma, uint64_t seed);
/* The columns of a group that is never standardised (ages): 1 in fixed[c], else 0. */
void mn__shape_fixed(const mn__namm *namm, uint8_t *fixed);

#endif
