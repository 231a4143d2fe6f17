/* agree.h: a real model held against llama_decode on its own weights widened to F32, over 2,000
 * tokens of a book. */
#ifndef AGREE_H
#define AGREE_H

#include <stdbool.h>

/* Run the comparison for NAME.gguf, as `mneme pull NAME` keeps it (or in the folder MNEME_MODELS),
 * at every kernel level of this machine, or for each way of computing at the best one. Returns the
 * program's exit code: 77 when the model is not there, or in a build with sanitizers, where it
 * would take too long. One line on stdout per way of computing. */
int agree_main(const char *name, bool every_level);

#endif
