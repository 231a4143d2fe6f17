/* chat.h: conversations as text, by libllama's list of known templates. */
#ifndef MN_TEXT_CHAT_H
#define MN_TEXT_CHAT_H

#include "mneme/status.h"
#include "mneme/text.h"
#include "text/vocab.h"

/* As mn_chat_format (mneme/text.h). */
mn_status mn__chat_format(const mn__vocab *v, const mn_chat *chat, mn_text_buf *out, mn_diag *diag);

#endif
