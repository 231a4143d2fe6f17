/* signals.h: signals that are sent to the process, held back on one thread for a while. */
#ifndef MN_BASE_SIGNALS_H
#define MN_BASE_SIGNALS_H

#include <signal.h>

/* From here on until mn__signals_release this thread takes none; *before says what was held before.
 * What a thread brings on itself stays open, for the handlers of debuggers and sanitizers. */
void mn__signals_hold(sigset_t *before);
void mn__signals_release(const sigset_t *before);

#endif
