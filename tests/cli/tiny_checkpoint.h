/* tiny_checkpoint.h: a folder as a training leaves it, with a model of a few thousand parameters.
 */
#ifndef TINY_CHECKPOINT_H
#define TINY_CHECKPOINT_H

#include <stdbool.h>
#include <stddef.h>

/* FOLDER/checkpoint.gguf and FOLDER/tokenizer.gguf, the folder made if it is missing; options as
 * overrides of a config. false: a message went to stderr. */
bool tiny_checkpoint_write(const char *folder, char *const *option, size_t n_option);

#endif
