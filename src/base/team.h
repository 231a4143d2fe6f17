/* team.h: the threads of one step. A step runs in ONE parallel region; its ops take (thread, of how
 * many) and meet at barriers that spin for a bounded time and then sleep, so that a busy machine
 * costs little. No locks below infer. */
#ifndef MN_BASE_TEAM_H
#define MN_BASE_TEAM_H

#include <stddef.h>

typedef struct mn__team mn__team;
typedef struct mn__crew { /* one thread's view of its team */
    mn__team *team;
    int thread, n_thread;
} mn__crew;

/* Owns the barrier's state; no threads are kept (OpenMP keeps them). n_thread >= 1. */
mn__team *mn__team_new(int n_thread);
void mn__team_free(mn__team *t);
int mn__team_size(const mn__team *t);
/* Run fn(crew, arg) on every thread of the team and return when all are done. Not re-entrant. */
void mn__team_run(mn__team *t, void (*fn)(const mn__crew *crew, void *arg), void *arg);
/* All threads of the team meet here. */
void mn__team_wait(const mn__crew *crew);
/* Thread 0..n-1's share [*begin,*end) of n items in runs of `grain`: fixed, contiguous, disjoint.
 */
void mn__team_split(const mn__crew *crew, size_t n, size_t grain, size_t *begin, size_t *end);
/* The next unclaimed item of a shared counter (reset by mn__team_claim_reset between two barriers),
 * for uneven items. */
size_t mn__team_claim(const mn__crew *crew);
void mn__team_claim_reset(const mn__crew *crew); /* any one thread, followed by mn__team_wait */

#endif
