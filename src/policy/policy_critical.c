/* policy_critical.c: any scorer, then what the output projection makes of the value (select.c).
 * Ref: arXiv 2502.03805.
 *
 *   half of the slots by S[i], the other half by (S[i] + 1e-4) * |Wo[h] v[i]|_1, the group's mean
 *   ada=1 shares out the slots of a layer by S first, as adakv does
 *   norm=l2: |Wo[h] v[i]|_2 in its place, by a Gram matrix made once (gram.c): not the paper's norm
 *
 * Deviations: the first half is of what is not protected (stage=all: of all, as in kvpress). Use
 * expected with vnorm=0 as base.
 * Needs: MN__NEED_OUTPUT and the base's. Cost: H*n*D*C multiply-adds per event; norm=l2
 * H*n*D*D, once H*D*D*C, and 4*H*D*D bytes a layer. */
#include "policy/policy_kind.h"

const mn__policy_kind mn__kind_critical = {
    .wrapper = true, .critical = true, .kvpress = "stage=all", .paper = "stage=all"};
