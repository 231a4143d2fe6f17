/* grammar.h: is this a GBNF grammar that libllama can take? Asked before its parser sees the text,
 * because that one prints to standard error, recurses with the nesting of groups, and never ends on
 * some repetitions and left recursions. */
#ifndef MN_TEXT_GRAMMAR_H
#define MN_TEXT_GRAMMAR_H

#include "mneme/status.h"
#include "text/vocab.h"

#define MN__GRAMMAR_MAX_BYTES ((size_t)64 << 10)

/* Rules, one `root` among them, each defined, none that comes back to itself before it writes a
 * character. The text is no longer than the limit; `v` knows the tokens that <...> names. MN_EINPUT
 * with the line and what is wrong there, MN_ENOMEM. */
mn_status mn__grammar_check(const char *text, const mn__vocab *v, mn_diag *diag);

#endif
