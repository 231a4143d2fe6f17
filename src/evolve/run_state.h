/* run_state.h: a run's folder: who may write there, where the run stands beside its search, and
 * what it was started with. */
#ifndef MN_EVOLVE_RUN_STATE_H
#define MN_EVOLVE_RUN_STATE_H

#include <jansson.h>
#include <limits.h>
#include "evolve/optimizer_internal.h"
#include "mneme/evolve.h"

/* ---- the folder ---- */

typedef struct mn__run_folder {
    int fd; /* open, and locked where its file system can; -1: none */
    char state[PATH_MAX], log[PATH_MAX], about[PATH_MAX]; /* evolve.gguf, log.sqlite, run.json */
} mn__run_folder;

/* Make the folder when absent, lock it against other processes, remove what a killed process was
 * writing. MN_EFAIL: another one evolves there; MN_EIO; MN_EUSAGE: too long a name. */
mn_status mn__run_folder_open(mn__run_folder *f, const char *dir, mn_diag *diag);
void mn__run_folder_close(mn__run_folder *f);
/* Is there a checkpoint, whole or not? */
bool mn__run_folder_has_state(const mn__run_folder *f);

/* ---- where the run stands: the note in the checkpoint ---- */

typedef struct mn__run_place {
    size_t stage;
    uint64_t stage_generation; /* tells in it */
    uint64_t n_item, rows;     /* prompts that the stage draws from and what they are, as mn__rater;
                                  0: it has not begun, or an earlier version did not note it */
    mn_evolve_best best;       /* of this stage */
    bool has_best;
    bool is_older; /* read: of a version that did not note all options */
} mn__run_place;

/* The note as text, the caller's (mn__free). NULL: no memory. */
char *mn__run_note(const mn_evolve_params *p, const mn__run_place *at);
/* Read a note and hold it against what is asked for now. `path` is for sentences. MN_EUSAGE: the
 * first difference, named; MN_EINPUT: not a note. */
mn_status mn__run_note_read(const char *note, const mn_evolve_params *p, const char *path,
                            mn__run_place *at, mn_diag *diag);

/* Two objects of options, held against each other. MN_EUSAGE: the first difference, named; `path`
 * is the file of what was found. A `format` that is wanted alone: an earlier version did not note
 * all options, and what it lacks is not looked at. */
mn_status mn__run_same(const char *path, const json_t *wanted, const json_t *found,
                       mn__option_name_fn name, mn_diag *diag);
/* The same of two texts; NULL or "": none. */
mn_status mn__run_differ(const char *path, const char *key, const char *wanted, const char *found,
                         mn__option_name_fn name, mn_diag *diag);
/* Were they noted by a version that did not note all of them? */
bool mn__run_is_older(const json_t *wanted, const json_t *found);

/* ---- run.json ---- */

/* What the run was started with, and each time that it was. */
mn_status mn__run_about_write(const char *path, const mn_evolve_params *p,
                              const mn_optimizer_info *info, mn_diag *diag);

/* All tasks of stage i with commas between, each once: the caller's (mn__free). NULL: no memory. */
char *mn__stage_tasks(const mn_evolve_stage *stage, size_t i);

#endif
