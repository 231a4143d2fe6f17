/* fidelity.h: the policy that candidates of a NAMM's file are, as a fidelity rates them. */
#ifndef MN_EVOLVE_FIDELITY_H
#define MN_EVOLVE_FIDELITY_H

#include <stdbool.h>
#include <stddef.h>
#include "mneme/status.h"

/* "namm:file=FILE,..." into out [cap]; more: further options as "recent=16,chunk=256", or NULL.
 * reads (true): it acts while it reads and writes, as often as the file was made for, whatever the
 * file's own options say, unless `more` says how often. Else (retained, frozen) it acts once, and
 * what `more` says of chunk= and every= is left out. MN_EUSAGE: too long. */
mn_status mn__fidelity_policy(char *out, size_t cap, const char *file, const char *more, bool reads,
                              mn_diag *diag);

#endif
