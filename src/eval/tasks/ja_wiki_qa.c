/* ja_wiki_qa.c: questions in Japanese over paragraphs of Wikipedia, one of which holds the answer.
 */
#include "eval/task.h"

static const mn__task tasks[] = {
    {.name = "ja_wiki_qa",
     .family = MN__FAMILY_QA,
     .metric = "qa_f1_chars",
     .prompt = "次の文書をよく読んで、質問に答えてください。答えは文書の中の語句をそのまま抜き出し"
               "てください。\n### 文書 ###\n{context}\n"
               "### 質問 ###\n{input}\n### 回答 ###\n",
     .max_new = 64,
     .dir = "longctx/ja_wiki_qa",
     .files = "ja_wiki_qa",
     .dataset = "ja_wiki_qa"},
};

const mn__task_set mn__tasks_ja_wiki_qa = {
    .name = "ja_wiki_qa",
    .about = "Japanese questions over JSQuAD paragraphs laid end to end",
    .source = "github.com/yahoojapan/JGLUE (JSQuAD), arXiv 2206.09212",
    .task = tasks,
    .n_task = sizeof tasks / sizeof *tasks,
};
