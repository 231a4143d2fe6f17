/* row_look.h: the rows of a stage, looked at before any is rated: those by whose answer no
 * candidate can be told from another are left out (docs/decisions/0012), the others are summed. */
#ifndef MN_EVOLVE_ROW_LOOK_H
#define MN_EVOLVE_ROW_LOOK_H

#include "eval/deck.h"
#include "mneme/model.h"

typedef struct mn__row_look {
    const mn_model *model;
    size_t n_ctx, max_gold; /* as in mn__ask_params */
    bool leaves_mute;       /* else all rows stay */
    bool evict_context;     /* the cut stands behind the context */
    size_t chunk; /* tokens after which candidates forget while they read; 0: at the cut */
    uint64_t n_row, n_mute; /* counted: rows seen, of which left out */
    uint64_t hash;          /* of the contents of those that stay, in their order */
} mn__row_look;

/* mn__deck_params.wants; ctx is the look. The first token of an answer comes from what was read
 * last: where nothing was forgotten before that, an answer of one token has the same likelihood
 * under every candidate; one of none has no likelihood. A row that cannot be asked stays: who rates
 * it says why. */
mn_status mn__row_look_wants(void *ctx, const mn__deck_unit *u, const mn__row *row, bool *wanted,
                             mn_diag *diag);

#endif
