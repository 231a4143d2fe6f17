/* chat.h: conversations as text, by libllama's list of known templates, and as tokens. */
#ifndef MN_TEXT_CHAT_H
#define MN_TEXT_CHAT_H

#include "mneme/status.h"
#include "mneme/text.h"
#include "text/vocab.h"

/* Messages that can be written: MN_EUSAGE, MN_ERANGE as mn_chat_format. */
mn_status mn__chat_check(const mn_chat *chat, mn_diag *diag);
/* As mn_chat_format (mneme/text.h). */
mn_status mn__chat_format(const mn__vocab *v, const mn_chat *chat, mn_text_buf *out, mn_diag *diag);

/* As mn_chat_tokenize; last_token not NULL: as mn_chat_tokenize_next. */
mn_status mn__chat_tokenize(const mn__vocab *v, const mn_chat *chat, const int32_t *last_token,
                            mn_token_buf *out, mn_diag *diag);

#endif
