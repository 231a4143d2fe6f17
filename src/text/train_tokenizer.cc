// train_tokenizer.cc: SentencePiece behind a C face. Nothing that it throws passes through.
#include "text/train_tokenizer.h"

#include <sentencepiece_processor.h>
#include <sentencepiece_trainer.h>

#include <cstdio>
#include <exception>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

struct mn__spm {
    sentencepiece::SentencePieceProcessor model;
};

namespace
{

class Lines : public sentencepiece::SentenceIterator
{
  public:
    explicit Lines(const mn__spm_params &params) : params_(params)
    {
        Next();
    }
    bool done() const override
    {
        return done_;
    }
    void Next() override
    {
        const char *line;
        size_t n;
        done_ = !params_.next(params_.ctx, &line, &n);
        if (!done_) line_.assign(line, n);
    }
    const std::string &value() const override
    {
        return line_;
    }
    sentencepiece::util::Status status() const override
    {
        return {};
    }

  private:
    const mn__spm_params &params_;
    std::string line_;
    bool done_ = false;
};

std::unordered_map<std::string, std::string> options(const mn__spm_params &p)
{
    return {
        {"model_type", "bpe"},
        {"vocab_size", std::to_string(p.n_vocab)},
        {"character_coverage", std::to_string(p.coverage)},
        {"byte_fallback", "true"},
        {"normalization_rule_name", "identity"},
        {"add_dummy_prefix", "false"},
        {"remove_extra_whitespaces", "false"},
        // Runs of spaces, which code is full of.
        {"allow_whitespace_only_pieces", "true"},
        {"split_digits", "true"},
        // Keeps pieces from growing into the names of control and byte tokens, which elsewhere
        // would be taken for these: "<" and "s" are of two scripts.
        {"split_by_unicode_script", "true"},
        {"unk_id", std::to_string(MN__SPM_UNKNOWN)},
        {"eos_id", std::to_string(MN__SPM_END)},
        {"bos_id", "-1"},
        {"pad_id", "-1"},
        {"max_sentence_length", std::to_string(MN__SPM_LINE_BYTES)},
        {"num_threads", "1"},
        {"minloglevel", "3"},
    };
}

bool fail(char *why, size_t n_why, const char *text)
{
    std::snprintf(why, n_why, "%s", text);
    return false;
}

} // namespace

bool mn__spm_train(mn__spm **out, const mn__spm_params *params, char *why, size_t n_why)
{
    *out = nullptr;
    try {
        std::string model;
        Lines lines(*params);
        auto status = sentencepiece::SentencePieceTrainer::Train(options(*params), &lines, &model);
        if (!status.ok()) return fail(why, n_why, status.error_message());
        auto p = std::make_unique<mn__spm>();
        status = p->model.LoadFromSerializedProto(model);
        if (!status.ok()) return fail(why, n_why, status.error_message());
        *out = p.release();
        return true;
    } catch (const std::exception &e) {
        return fail(why, n_why, e.what());
    } catch (...) {
        return fail(why, n_why, "SentencePiece failed");
    }
}

void mn__spm_free(mn__spm *p)
{
    delete p;
}

int32_t mn__spm_n(const mn__spm *p)
{
    return p->model.GetPieceSize();
}

const char *mn__spm_text(const mn__spm *p, int32_t i)
{
    return p->model.IdToPiece(i).c_str();
}

float mn__spm_score(const mn__spm *p, int32_t i)
{
    return p->model.GetScore(i);
}

int32_t mn__spm_type(const mn__spm *p, int32_t i)
{
    if (p->model.IsUnknown(i)) return 2;
    if (p->model.IsControl(i)) return 3;
    if (p->model.IsUnused(i)) return 5;
    return p->model.IsByte(i) ? 6 : 1;
}

size_t mn__spm_encode(const mn__spm *p, const char *text, size_t n, int32_t *out, size_t cap)
{
    try {
        std::vector<int> ids;
        if (!p->model.Encode(absl::string_view(text, n), &ids).ok()) return SIZE_MAX;
        for (size_t i = 0; i < ids.size() && i < cap; i++) out[i] = ids[i];
        return ids.size();
    } catch (...) {
        return SIZE_MAX;
    }
}
