/* longbench.c: LongBench, all 21 tasks, with the prompts and answer lengths of its publishers
 * (their words run together in "asconcisely" too). Few-shot and code prompts go on in mid-text and
 * are never put into a chat template; where one line is wanted, the rest is dropped. */
#include "eval/task.h"

static const mn__task tasks[] = {
    {.name = "narrativeqa",
     .family = MN__FAMILY_QA,
     .metric = "qa_f1",
     .prompt = "You are given a story, which can be either a novel or a movie script, and a "
               "question. Answer the question asconcisely as you can, using a single phrase if "
               "possible. Do not provide any explanation.\n\n"
               "Story: {context}\n\nNow, answer the question based on the story asconcisely as you "
               "can, using a single phrase if possible. Do not provide any explanation.\n\n"
               "Question: {input}\n\nAnswer:",
     .max_new = 128,
     .dir = "longctx/longbench",
     .files = "narrativeqa",
     .dataset = "narrativeqa"},
    {.name = "qasper",
     .family = MN__FAMILY_QA,
     .metric = "qa_f1",
     .prompt = "You are given a scientific article and a question. Answer the question as "
               "concisely as you can, using a single phrase or sentence if possible. If the "
               "question cannot be answered based on the information in the article, write "
               "\"unanswerable\". If the question is a yes/no question, answer \"yes\", \"no\", or "
               "\"unanswerable\". Do not provide any explanation.\n\n"
               "Article: {context}\n\n Answer the question based on the above article as concisely "
               "as you can, using a single phrase or sentence if possible. If the question cannot "
               "be answered based on the information in the article, write \"unanswerable\". If "
               "the question is a yes/no question, answer \"yes\", \"no\", or \"unanswerable\". Do "
               "not provide any explanation.\n\n"
               "Question: {input}\n\nAnswer:",
     .max_new = 128,
     .dir = "longctx/longbench",
     .files = "qasper",
     .dataset = "qasper"},
    {.name = "multifieldqa_en",
     .family = MN__FAMILY_QA,
     .metric = "qa_f1",
     .prompt = "Read the following text and answer briefly.\n\n"
               "{context}\n\nNow, answer the following question based on the above text, only give "
               "me the answer and do not output any other words.\n\n"
               "Question: {input}\nAnswer:",
     .max_new = 64,
     .dir = "longctx/longbench",
     .files = "multifieldqa_en",
     .dataset = "multifieldqa_en"},
    {.name = "multifieldqa_zh",
     .family = MN__FAMILY_QA,
     .metric = "qa_f1_zh",
     .prompt = "阅读以下文字并用中文简短回答：\n\n{context}\n\n"
               "现在请基于上面的文章回答下面的问题，只告诉我答案，不要输出任何其他字词。\n\n"
               "问题：{input}\n回答：",
     .max_new = 64,
     .dir = "longctx/longbench",
     .files = "multifieldqa_zh",
     .dataset = "multifieldqa_zh"},
    {.name = "hotpotqa",
     .family = MN__FAMILY_QA,
     .metric = "qa_f1",
     .prompt = "Answer the question based on the given passages. Only give me the answer and do "
               "not output any other words.\n\n"
               "The following are given passages.\n"
               "{context}\n\nAnswer the question based on the given passages. Only give me the "
               "answer and do not output any other words.\n\n"
               "Question: {input}\nAnswer:",
     .max_new = 32,
     .dir = "longctx/longbench",
     .files = "hotpotqa",
     .dataset = "hotpotqa"},
    {.name = "2wikimqa",
     .family = MN__FAMILY_QA,
     .metric = "qa_f1",
     .prompt = "Answer the question based on the given passages. Only give me the answer and do "
               "not output any other words.\n\n"
               "The following are given passages.\n"
               "{context}\n\nAnswer the question based on the given passages. Only give me the "
               "answer and do not output any other words.\n\n"
               "Question: {input}\nAnswer:",
     .max_new = 32,
     .dir = "longctx/longbench",
     .files = "2wikimqa",
     .dataset = "2wikimqa"},
    {.name = "musique",
     .family = MN__FAMILY_QA,
     .metric = "qa_f1",
     .prompt = "Answer the question based on the given passages. Only give me the answer and do "
               "not output any other words.\n\n"
               "The following are given passages.\n"
               "{context}\n\nAnswer the question based on the given passages. Only give me the "
               "answer and do not output any other words.\n\n"
               "Question: {input}\nAnswer:",
     .max_new = 32,
     .dir = "longctx/longbench",
     .files = "musique",
     .dataset = "musique"},
    {.name = "dureader",
     .family = MN__FAMILY_QA,
     .metric = "rouge_l_zh",
     .prompt = "请基于给定的文章回答下述问题。\n\n文章：{context}\n\n"
               "请基于上述文章回答下面的问题。\n\n问题：{input}\n"
               "回答：",
     .max_new = 128,
     .dir = "longctx/longbench",
     .files = "dureader",
     .dataset = "dureader"},
    {.name = "gov_report",
     .family = MN__FAMILY_SUMMARIES,
     .metric = "rouge_l",
     .prompt = "You are given a report by a government agency. Write a one-page summary of the "
               "report.\n\nReport:\n{context}\n\n"
               "Now, write a one-page summary of the report.\n\n"
               "Summary:",
     .max_new = 512,
     .dir = "longctx/longbench",
     .files = "gov_report",
     .dataset = "gov_report"},
    {.name = "qmsum",
     .family = MN__FAMILY_SUMMARIES,
     .metric = "rouge_l",
     .prompt = "You are given a meeting transcript and a query containing a question or "
               "instruction. Answer the query in one or more sentences.\n\n"
               "Transcript:\n{context}\n\nNow, answer the query based on the above meeting "
               "transcript in one or more sentences.\n\n"
               "Query: {input}\nAnswer:",
     .max_new = 512,
     .dir = "longctx/longbench",
     .files = "qmsum",
     .dataset = "qmsum"},
    {.name = "multi_news",
     .family = MN__FAMILY_SUMMARIES,
     .metric = "rouge_l",
     .prompt = "You are given several news passages. Write a one-page summary of all news. \n\n"
               "News:\n{context}\n\nNow, write a one-page summary of all the news.\n\n"
               "Summary:",
     .max_new = 512,
     .dir = "longctx/longbench",
     .files = "multi_news",
     .dataset = "multi_news"},
    {.name = "vcsum",
     .family = MN__FAMILY_SUMMARIES,
     .metric = "rouge_l_zh",
     .prompt = "下面有一段会议记录，请你阅读后，写一段总结，总结会议的内容。\n"
               "会议记录：\n{context}\n\n会议总结：",
     .max_new = 512,
     .dir = "longctx/longbench",
     .files = "vcsum",
     .dataset = "vcsum"},
    {.name = "trec",
     .family = MN__FAMILY_FEW_SHOT,
     .metric = "classification",
     .prompt = "Please determine the type of the question below. Here are some examples of "
               "questions.\n\n{context}\n{input}",
     .max_new = 64,
     .rules = MN__RULE_RAW | MN__RULE_FIRST_LINE,
     .dir = "longctx/longbench",
     .files = "trec",
     .dataset = "trec"},
    {.name = "triviaqa",
     .family = MN__FAMILY_FEW_SHOT,
     .metric = "qa_f1",
     .prompt = "Answer the question based on the given passage. Only give me the answer and do not "
               "output any other words. The following are some examples.\n\n"
               "{context}\n\n{input}",
     .max_new = 32,
     .rules = MN__RULE_RAW | MN__RULE_FIRST_LINE,
     .dir = "longctx/longbench",
     .files = "triviaqa",
     .dataset = "triviaqa"},
    {.name = "samsum",
     .family = MN__FAMILY_FEW_SHOT,
     .metric = "rouge_l",
     .prompt = "Summarize the dialogue into a few short sentences. The following are some "
               "examples.\n\n{context}\n\n{input}",
     .max_new = 128,
     .rules = MN__RULE_RAW | MN__RULE_FIRST_LINE | MN__RULE_STOP_LINE,
     .dir = "longctx/longbench",
     .files = "samsum",
     .dataset = "samsum"},
    {.name = "lsht",
     .family = MN__FAMILY_FEW_SHOT,
     .metric = "classification",
     .prompt = "请判断给定新闻的类别，下面是一些例子。\n\n{context}\n"
               "{input}",
     .max_new = 64,
     .rules = MN__RULE_RAW | MN__RULE_FIRST_LINE,
     .dir = "longctx/longbench",
     .files = "lsht",
     .dataset = "lsht"},
    {.name = "passage_count",
     .family = MN__FAMILY_SYNTHETIC,
     .metric = "count",
     .prompt = "There are some paragraphs below sourced from Wikipedia. Some of them may be "
               "duplicates. Please carefully read these paragraphs and determine how many unique "
               "paragraphs there are after removing duplicates. In other words, how many "
               "non-repeating paragraphs are there in total?\n\n"
               "{context}\n\nPlease enter the final count of unique paragraphs after removing "
               "duplicates. The output format should only contain the number, such as 1, 2, 3, and "
               "so on.\n\nThe final answer is: ",
     .max_new = 32,
     .dir = "longctx/longbench",
     .files = "passage_count",
     .dataset = "passage_count"},
    {.name = "passage_retrieval_en",
     .family = MN__FAMILY_SYNTHETIC,
     .metric = "retrieval",
     .prompt = "Here are 30 paragraphs from Wikipedia, along with an abstract. Please determine "
               "which paragraph the abstract is from.\n\n"
               "{context}\n\nThe following is an abstract.\n\n"
               "{input}\n\nPlease enter the number of the paragraph that the abstract is from. The "
               "answer format must be like \"Paragraph 1\", \"Paragraph 2\", etc.\n\n"
               "The answer is: ",
     .max_new = 32,
     .dir = "longctx/longbench",
     .files = "passage_retrieval_en",
     .dataset = "passage_retrieval_en"},
    {.name = "passage_retrieval_zh",
     .family = MN__FAMILY_SYNTHETIC,
     .metric = "retrieval_zh",
     .prompt = "以下是若干段落文字，以及其中一个段落的摘要。请确定给定的摘要出自哪一段。\n\n"
               "{context}\n\n下面是一个摘要\n\n{input}\n\n"
               "请输入摘要所属段落的编号。答案格式必须是\"段落1\"，\"段落2\"等格式\n\n"
               "答案是：",
     .max_new = 32,
     .dir = "longctx/longbench",
     .files = "passage_retrieval_zh",
     .dataset = "passage_retrieval_zh"},
    {.name = "lcc",
     .family = MN__FAMILY_CODE,
     .metric = "code_sim",
     .prompt = "Please complete the code given below. \n"
               "{context}Next line of code:\n",
     .max_new = 64,
     .rules = MN__RULE_RAW,
     .dir = "longctx/longbench",
     .files = "lcc",
     .dataset = "lcc"},
    {.name = "repobench-p",
     .family = MN__FAMILY_CODE,
     .metric = "code_sim",
     .prompt = "Please complete the code given below. \n"
               "{context}{input}Next line of code:\n",
     .max_new = 64,
     .rules = MN__RULE_RAW,
     .dir = "longctx/longbench",
     .files = "repobench-p",
     .dataset = "repobench-p"},
};

const mn__task_set mn__tasks_longbench = {
    .name = "longbench",
    .about = "LongBench: 21 tasks in English and Chinese, contexts of 1k to 20k words",
    .source = "arXiv 2308.14508, github.com/THUDM/LongBench",
    .task = tasks,
    .n_task = sizeof tasks / sizeof *tasks,
};
