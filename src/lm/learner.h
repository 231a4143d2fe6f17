/* learner.h: a model as a config describes it: all of its layers, and the flat arrays that its
 * parameters lie in. The one place that knows every layer. */
#ifndef MN_LM_LEARNER_H
#define MN_LM_LEARNER_H

#include "layer/dense_ffn.h"
#include "layer/lm.h"
#include "layer/lookup_ffn.h"
#include "layer/memory_ffn.h"
#include "layer/memory_socket.h"
#include "layer/mixer.h"
#include "layer/table_layers.h"
#include "lm/config.h"

/* Feed-forward layers of blocks, and memories between them: which one, the config says. */
typedef union mn__any_ffn {
    mn__layer layer;
    mn__dense_ffn dense;
    mn__moe_face moe;
    mn__memory_ffn memory;
    mn__lookup_ffn lookup;
} mn__any_ffn;
typedef union mn__any_memory {
    mn__layer layer;
    mn__pkm_face pkm;
    mn__memory_plus_face plus;
    mn__ultramem_face ultramem;
    mn__ultramem_v2_face v2;
} mn__any_memory;

typedef struct mn__learner {
    mn__config config; /* checked */
    bool is_sketch;
    mn__lm lm;
    mn__block *block; /* [blocks] each */
    mn__mixer *mixer;
    mn__any_ffn *ffn;
    mn__memory_socket *socket;
    mn__memories memories; /* none where the architecture has none */
    mn__any_memory *memory;
    mn__value_pool pool; /* ultramem_v2 */
    mn__params list;
    mn__real *w, *g, *state; /* flat; g NULL: inference alone */
    size_t n_w, n_state;
    size_t n_settled;
    mn__real *settled; /* mn__learner_settle's; NULL: parameters may change */
} mn__learner;

/* A model with its first values, which follow from train.seed. `config` has been checked
 * (mn__config_check). MN_ERANGE: sizes that cannot be, in one sentence; MN_ENOMEM. */
mn_status mn__learner_new(mn__learner **out, const mn__config *config, bool has_gradients,
                          mn__team *team, mn_diag *diag);
/* The same on one of several ranks: of tables that they can share (mn__params_split), its columns
 * alone. */
typedef struct mn__learner_part {
    size_t rank, n;
} mn__learner_part;
mn_status mn__learner_new_part(mn__learner **out, const mn__config *config, mn__learner_part part,
                               mn__team *team, mn_diag *diag);
/* The same layers and their list of parameters without memory for any: whoever binds them sees to
 * that, and to mn__learner_refresh. For models in files. */
mn_status mn__learner_layers(mn__learner **out, const mn__config *config, mn_diag *diag);
/* A model that is described alone: its layers and the list of its parameters, without weights or
 * memory for them. Only dry passes run on it. The same failures. */
mn_status mn__learner_sketch(mn__learner **out, const mn__config *config, mn_diag *diag);
void mn__learner_free(mn__learner *l); /* NULL is fine */

/* Before each step of training, and after parameters were loaded: what follows from them. */
void mn__learner_refresh(const mn__learner *l);
/* For inference alone, after a refresh: what memories make of their keys at each pass is made once.
 * Parameters must not change any more. MN_ENOMEM. */
mn_status mn__learner_settle(mn__learner *l, mn_diag *diag);
/* Memory of a model of mn__learner_layers: layers, shuffled cells, what was settled. */
size_t mn__learner_bytes(const mn__learner *l);
/* mn__lm_loss with the memories between blocks. `aux` may be NULL; auxiliary losses count 1/passes
 * of the step. */
mn__nll mn__learner_loss(mn__learner *l, const mn__env *env, const mn__lm_batch *b, bool backward,
                         double *aux);
/* mn__lm_logits likewise. */
void mn__learner_logits(mn__learner *l, const mn__env *env, mn__shape s, const int32_t *token,
                        mn__real *logits);

#endif
