/* team.h: the threads of one step. A step is ONE function that all threads of a team run; its ops
 * take (thread, of how many) and meet at barriers. Threads wait for each other, and for the next
 * step, spinning for a bounded time and then asleep, so that a busy machine costs little and an
 * idle program nothing. No locks below infer. */
#ifndef MN_BASE_TEAM_H
#define MN_BASE_TEAM_H

#include <stddef.h>

typedef struct mn__team mn__team;
typedef struct mn__crew { /* one thread's view of its team */
    mn__team *team;
    int thread, n_thread;
} mn__crew;

/* Starts n_thread - 1 workers (n_thread >= 1), named mneme-1 and so on, which take none of the
 * process's signals; whoever calls mn__team_run is thread 0. A system that refuses threads makes
 * the team smaller, down to the caller alone. NULL: no memory. The child of a fork() has none of
 * the workers: it may neither run nor free the team. */
mn__team *mn__team_new(int n_thread);
void mn__team_free(mn__team *t);      /* ends the workers; not during a step; NULL is fine */
int mn__team_size(const mn__team *t); /* threads that a step has */
/* Run fn(crew, arg) on every thread of the team and return when all are done. From any thread, one
 * at a time; not re-entrant. */
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
