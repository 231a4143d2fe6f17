/* signals.c: a mask, but for what a thread brings on itself. */
#include "base/signals.h"

#include <pthread.h>
#include <stddef.h>

void mn__signals_hold(sigset_t *before)
{
    const int own[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS};
    sigset_t set;
    sigfillset(&set);
    for (size_t i = 0; i < sizeof own / sizeof *own; i++) sigdelset(&set, own[i]);
    pthread_sigmask(SIG_SETMASK, &set, before);
}

void mn__signals_release(const sigset_t *before)
{
    pthread_sigmask(SIG_SETMASK, before, NULL);
}
