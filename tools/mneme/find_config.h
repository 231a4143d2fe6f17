/* find_config.h: configs of trainings by name. */
#ifndef MNEME_TOOLS_FIND_CONFIG_H
#define MNEME_TOOLS_FIND_CONFIG_H

#include <limits.h>

/* A name without a folder that is no file here is looked for among the configs that are shipped:
 * dense.smoke. Returns its path, in `path`, or else the word as it came. */
const char *find_config(const char *word, char path[PATH_MAX]);

#endif
