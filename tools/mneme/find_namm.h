/* find_namm.h: policy `namm` without a file, or with a bare name, gets the path of a NAMM. The
 * library itself never looks for one. */
#ifndef MNEME_TOOLS_FIND_NAMM_H
#define MNEME_TOOLS_FIND_NAMM_H

#include <stdbool.h>
#include "args.h"
#include "mneme/model.h"

/* policies: one, or a list with commas, each perhaps with @SIZE. Where one that scores by a NAMM
 * names no file, the one for this model goes in: of *.namm.gguf in the folders below, the one whose
 * notes name a model of the same identity (of several the shortest name), else any.namm.gguf, or
 * the file that it is a link to; the first folder that has one decides. file=NAME, no path, is a
 * file here or there: NAME or NAME.namm.gguf. Folders: the variable MNEME_NAMM; what the build tree
 * shows of the source tree; where `make install` puts them, relative to this program.
 *
 * *out: the list with paths in it, the caller's (free). *tells: a note says which was found for the
 * model; false from then on. MN_EINPUT: none; MNEME_NAMM is no folder. MN_EUSAGE: a path that
 * cannot stand in a list. */
mn_status find_namm(const args *a, const mn_model *m, const char *policies, bool *tells, char **out,
                    mn_diag *diag);
/* Does a policy of n bytes score by a NAMM, itself or by its base? */
bool scores_by_namm(const char *policy, size_t n);

#endif
