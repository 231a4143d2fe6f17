/* text.c: a model's own tokenizer and chat template (mneme/text.h). */
#include "mneme/text.h"

#include "model/model.h"
#include "text/chat.h"
#include "text/vocab.h"

mn_status mn_tokenize(const mn_model *model, const char *text, size_t n_bytes, unsigned flags,
                      mn_token_buf *out, mn_diag *diag)
{
    return mn__vocab_tokenize(model->vocab, text, n_bytes, flags, out, diag);
}

mn_status mn_token_text(const mn_model *model, int32_t token, bool with_special, mn_text_buf *out,
                        mn_diag *diag)
{
    return mn__vocab_token_text(model->vocab, token, with_special, out, diag);
}

bool mn_token_is_end(const mn_model *model, int32_t token)
{
    return mn__vocab_is_end(model->vocab, token);
}

mn_status mn_chat_tokenize(const mn_model *model, const mn_chat *chat, mn_token_buf *out,
                           mn_diag *diag)
{
    return mn__chat_tokenize(model->vocab, chat, NULL, out, diag);
}

mn_status mn_chat_tokenize_next(const mn_model *model, const mn_chat *chat, int32_t last_token,
                                mn_token_buf *out, mn_diag *diag)
{
    return mn__chat_tokenize(model->vocab, chat, &last_token, out, diag);
}

mn_status mn_chat_format(const mn_model *model, const mn_chat *chat, mn_text_buf *out,
                         mn_diag *diag)
{
    return mn__chat_format(model->vocab, chat, out, diag);
}
