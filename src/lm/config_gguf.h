/* config_gguf.h: what a model is, as keys of its GGUF file: mneme.SECTION.KEY for every option
 * whose use is MODEL (config.def), and beside them the keys that other tools expect. */
#ifndef MN_LM_CONFIG_GGUF_H
#define MN_LM_CONFIG_GGUF_H

#include "gguf/gguf_write.h"
#include "lm/config.h"

#define MN__LM_ARCHITECTURE "mneme"

/* `c` has been checked. */
void mn__config_put(const mn__config *c, mn__gguf_writer *w);
/* The config of such a file, checked; options that it does not name have their defaults. MN_EINPUT
 * with the key. */
mn_status mn__config_take(mn__config *out, const mn__gguf *g, mn_diag *diag);

#endif
