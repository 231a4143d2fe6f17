/** @file text.h  Text to tokens and back, and chat templates: what a model file says about its own
 * language.
 *
 *  All functions only read the model and may run on many threads at once. Buffers belong to the
 * caller. Results of unknown size follow one rule: a call that succeeds stores the size it needs in
 * `n`, and fills the buffer only when `n <= cap`; so a first call with cap 0 asks, a second one
 * fetches. */
#ifndef MNEME_TEXT_H
#define MNEME_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "mneme/model.h"
#include "mneme/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Tokens in the caller's array. */
typedef struct mn_token_buf {
    int32_t *data; /* [cap], or NULL with cap 0 */
    size_t cap;
    size_t n;          /* out: tokens of the text; data holds them when n <= cap */
    size_t n_replaced; /* out: pieces of invalid UTF-8 that were read as U+FFFD; say so to the user
                          when not 0 */
} mn_token_buf;

/** Bytes in the caller's array; never NUL-terminated by the library. */
typedef struct mn_text_buf {
    char *data; /* [cap], or NULL with cap 0 */
    size_t cap;
    size_t n; /* out: bytes of the result; data holds them when n <= cap */
} mn_text_buf;

typedef enum mn_tokenize_flag {
    MN_TOKENIZE_ADD_SPECIAL =
        1, /* begin (and end) with the tokens that the model asks for, such as BOS */
    MN_TOKENIZE_PARSE_SPECIAL = 2, /* read "<|im_start|>" in the text as that control token: for
                                      templates, not for documents */
} mn_tokenize_flag;

/** Tokens of n_bytes of UTF-8 (NUL bytes are text like any other). `flags`: sum of
 * mn_tokenize_flag. A few BPE tokenizers recurse per character of a word: for those, words beyond
 * 2048 bytes are read as several.
 *  @return MN_OK; MN_ERANGE (text of more than 256 MiB); MN_EINPUT (the vocabulary has no token for
 * it); MN_ENOMEM. Cost: about 1 us per byte. */
MN_API mn_status mn_tokenize(const mn_model *model, const char *text, size_t n_bytes,
                             unsigned flags, mn_token_buf *out, mn_diag *diag);

/** Bytes that one token stands for: any bytes, not always whole characters. Control tokens are
 * empty unless with_special.
 *  @return MN_OK, MN_ERANGE (token outside [0, V)). */
MN_API mn_status mn_token_text(const mn_model *model, int32_t token, bool with_special,
                               mn_text_buf *out, mn_diag *diag);

/** Does this token end an answer (EOS, end of turn, ...)? False for a token outside [0, V). */
MN_API bool mn_token_is_end(const mn_model *model, int32_t token);

typedef struct mn_chat_message {
    const char *role;    /* "system", "user", "assistant" */
    const char *content; /* UTF-8 */
} mn_chat_message;

typedef struct mn_chat {
    const mn_chat_message *messages; /* [n_message], in order */
    size_t n_message;
    const char *template_name; /* a built-in name ("chatml"), or NULL: the model's own template */
    bool open_answer;          /* end with the beginning of the assistant's turn */
} mn_chat;

/** Write a conversation the way the model was trained to read it, to be looked at; to be read by
 * the model, mn_chat_tokenize. A model without a template, and no name given: the contents alone,
 * joined by blank lines (mn_model_info.chat_template is NULL then: say so). The template is matched
 * against a list of known ones, not interpreted: a default system message that a template holds for
 *  conversations without one (SmolLM2's does) is not written; give the message to have it.
 *  @return MN_OK; MN_EINPUT (a template that is not in the list; the sentence names the built-in
 * ones); MN_EUSAGE (no messages, or one without role or content); MN_ERANGE (256 MiB or more). */
MN_API mn_status mn_chat_format(const mn_model *model, const mn_chat *chat, mn_text_buf *out,
                                mn_diag *diag);

/** The same conversation as tokens, beginning with those that the model asks for (BOS). Only the
 * template's own control words are read as such, never those in a message. `out` as mn_tokenize.
 *  @return as mn_chat_format and mn_tokenize; MN_EINPUT also for a template that leaves messages
 * out. Cost: about 1 us per byte. */
MN_API mn_status mn_chat_tokenize(const mn_model *model, const mn_chat *chat, mn_token_buf *out,
                                  mn_diag *diag);

/** What follows an answer in a session that holds the conversation so far: the end of the answer's
 * turn, as far as the model has not written it, and the new messages of `chat`. The session's
 * tokens and these are what the template makes of the whole conversation.
 *  @param last_token  the session's (mn_session_info.last_token)
 *  @return as mn_chat_tokenize. */
MN_API mn_status mn_chat_tokenize_next(const mn_model *model, const mn_chat *chat,
                                       int32_t last_token, mn_token_buf *out, mn_diag *diag);

#ifdef __cplusplus
}
#endif
#endif
