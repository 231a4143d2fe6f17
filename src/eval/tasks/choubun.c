/* choubun.c: ChouBun's four tasks by their published names and row format (LongBench's), metrics
 * and answer lengths. Its prompts are not published with the data; these ask for the same in the
 * words of ja_wiki_qa. */
#include "eval/task.h"

static const mn__task tasks[] = {
    {.name = "wiki_qa",
     .family = MN__FAMILY_QA,
     .metric = "qa_f1_ja",
     .prompt = "次の文書をよく読んで、質問に答えてください。答えは文書の中の語句をそのまま抜き出し"
               "てください。\n### 文書 ###\n{context}\n"
               "### 質問 ###\n{input}\n### 回答 ###\n",
     .max_new = 64,
     .dir = "longctx/choubun",
     .files = "wiki_qa",
     .dataset = "wiki_qa"},
    {.name = "edinet_qa",
     .family = MN__FAMILY_QA,
     .metric = "qa_f1_ja",
     .prompt = "次の文書をよく読んで、質問に答えてください。答えは文書の中の語句をそのまま抜き出し"
               "てください。\n### 文書 ###\n{context}\n"
               "### 質問 ###\n{input}\n### 回答 ###\n",
     .max_new = 64,
     .dir = "longctx/choubun",
     .files = "edinet_qa",
     .dataset = "edinet_qa"},
    {.name = "corp_sec_qa",
     .family = MN__FAMILY_QA,
     .metric = "qa_f1_ja",
     .prompt = "次の文書をよく読んで、質問に答えてください。答えは文書の中の語句をそのまま抜き出し"
               "てください。\n### 文書 ###\n{context}\n"
               "### 質問 ###\n{input}\n### 回答 ###\n",
     .max_new = 64,
     .dir = "longctx/choubun",
     .files = "corp_sec_qa",
     .dataset = "corp_sec_qa"},
    {.name = "corp_sec_sum",
     .family = MN__FAMILY_SUMMARIES,
     .metric = "rouge_l_ja",
     .prompt = "次の文書をよく読んで、内容を要約してください。\n### 文書 ###\n"
               "{context}\n### 要約 ###\n",
     .max_new = 128,
     .dir = "longctx/choubun",
     .files = "corp_sec_sum",
     .dataset = "corp_sec_sum"},
};

const mn__task_set mn__tasks_choubun = {
    .name = "choubun",
    .about = "ChouBun: Japanese questions and summaries over articles and securities reports",
    .source = "arXiv 2410.13166, huggingface.co/datasets/SakanaAI/ChouBun",
    .task = tasks,
    .n_task = sizeof tasks / sizeof *tasks,
};
