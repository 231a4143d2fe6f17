/* checkpoint.h: where a training stands, in one GGUF file: its config, weights, moments, states and
 * step, under a checksum (docs/formats.md). What is drawn (first values, shuffles of cells) follows
 * from the config's seed and is not written. The file appears whole or not at all, and the one
 * before stays beside it as PATH.1. */
#ifndef MN_TRAIN_CHECKPOINT_H
#define MN_TRAIN_CHECKPOINT_H

#include <stdint.h>
#include "train/adamw.h"
#include "gguf/gguf_file.h"
#include "lm/learner.h"

/* Write where `l` and `o` stand. Rows that are owed updates get them first. `source`: identity of
 * what is learnt from. is_over_bad: what stands at `path` is damaged and not worth keeping.
 * MN_EIO, MN_ENOMEM; what stood there before still does. */
mn_status mn__checkpoint_save(const char *path, const mn__learner *l, mn__adamw *o, mn__team *team,
                              uint64_t source, bool is_over_bad, mn_diag *diag);

/* Is there one, whole or not? */
bool mn__checkpoint_exists(const char *path);

/* Go on from `path`; where it is damaged or absent, from PATH.1, which `warning` then says and
 * *is_bad tells. MN_EUSAGE: of another config (the first difference is named) or of other data;
 * MN_EINPUT, MN_EIO: neither file is sound. l and o are as they were in these cases. */
mn_status mn__checkpoint_load(const char *path, mn__learner *l, mn__adamw *o, uint64_t source,
                              bool *is_bad, mn_diag *warning, mn_diag *diag);

/* The config inside, checked: to make the learner for it. MN_EINPUT, MN_EIO. */
mn_status mn__checkpoint_config(const char *path, mn__config *out, mn_diag *diag);

/* The model inside, to be read alone: parameters and states are the mapped file's, nothing may be
 * written to them. Where the file is damaged, the one before it. MN_EINPUT, MN_EIO, MN_ENOMEM. */
typedef struct mn__checkpoint_model {
    mn__learner *learner;
    uint64_t step;
    mn__gguf *file;
} mn__checkpoint_model;
mn_status mn__checkpoint_open(mn__checkpoint_model *out, const char *path, mn_diag *diag);
void mn__checkpoint_close(mn__checkpoint_model *m); /* one of zeros is fine */

#endif
