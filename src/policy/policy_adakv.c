/* policy_adakv.c: any scorer, with the slots of a layer shared out among its heads by score
 * (allocate.c). Ref: arXiv 2407.11550.
 *
 *   a head keeps as many tokens as it has among the best N*B of the layer, with a floor:
 *   floor=reserve: the best alpha of an even share win in any case (kvpress)
 *   floor=mix: alpha of the even share and the rest of what was won (the authors' code)
 *   mass=1: a head's scores compete times the mass of its best c over the mass of all, c its even
 *   share (the authors' normalisation)
 *   skip=l: heads of layers below l do not compete
 *
 * Deviations: protected tokens take no part; rounding by largest remainder, so that a layer keeps
 * exactly its budget. Scores must be comparable between heads: attention is, norms are not.
 * Needs: the base's. Cost: the base's, and a selection over the layer. */
#include "policy/policy_kind.h"

const mn__policy_kind mn__kind_adakv = {
    .wrapper = true, .kvpress = "floor=reserve alpha=0.2", .paper = "floor=mix alpha=0.5"};
