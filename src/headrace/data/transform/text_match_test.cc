#include "headrace/data/transform/text_match.h"

#include <arrow/array.h>
#include <arrow/builder.h>
#include <arrow/compute/api.h>
#include <arrow/datum.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "headrace/base/rng.h"
#include "headrace/data/transform/arrow_init.h"

namespace headrace {
namespace {

namespace cp = arrow::compute;

std::string RandomText(Rng* rng, const std::string& letters, std::uint64_t longest) {
  std::string text;
  for (std::uint64_t left = rng->Below(longest + 1); left > 0; --left) {
    text += letters[rng->Below(letters.size())];
  }
  return text;
}

template <class Builder>
std::shared_ptr<arrow::Array> RandomTexts(Rng* rng) {
  Builder builder;
  for (int i = 0; i < 300; ++i) {
    const Status status =
        rng->Chance(0.1) ? builder.AppendNull() : builder.Append(RandomText(rng, "aab\n", 12));
    EXPECT_TRUE(status.ok());
  }
  return builder.Finish().ValueOrDie()->Slice(static_cast<std::int64_t>(rng->Below(20)));
}

TEST(TextMatch, SaysWhatArrowSays) {
  ASSERT_TRUE(InitializeArrow().ok());
  Rng rng(7);
  int own = 0;
  for (int i = 0; i < 2'000; ++i) {
    const bool like = rng.Chance(0.7);
    const std::string function = like ? "match_like" : "match_substring";
    const cp::MatchSubstringOptions options(RandomText(&rng, like ? "ab%%%_\\" : "ab%", 6));
    const auto texts = rng.Chance(0.5) ? RandomTexts<arrow::StringBuilder>(&rng)
                                       : RandomTexts<arrow::LargeBinaryBuilder>(&rng);
    const auto found =
        MatchText(function, texts, &options, arrow::default_memory_pool()).ValueOrDie();
    if (!found) continue;
    ++own;
    const auto expected = cp::CallFunction(function, {texts}, &options).ValueOrDie();
    EXPECT_TRUE(found->make_array()->Equals(expected.make_array()))
        << function << " " << options.pattern << " of " << texts->ToString();
  }
  EXPECT_GT(own, 400);
}

TEST(TextMatch, LongPartsAreFound) {
  const std::string part = std::string(300, 'x') + "y" + std::string(300, 'z');
  arrow::StringBuilder builder;
  for (const auto& text :
       {part, "x" + part + "z", part.substr(1), std::string(2'000, 'x') + part}) {
    ASSERT_TRUE(builder.Append(text).ok());
  }
  const cp::MatchSubstringOptions options("%" + part + "%");
  const auto found = MatchText("match_like", builder.Finish().ValueOrDie(), &options,
                               arrow::default_memory_pool());
  const auto& bits = static_cast<const arrow::BooleanArray&>(*found.ValueOrDie()->make_array());
  EXPECT_EQ(bits.ToString(), "[\n  true,\n  true,\n  false,\n  true\n]");
}

TEST(TextMatch, LeavesTheRestToArrow) {
  arrow::StringBuilder builder;
  ASSERT_TRUE(builder.Append("ab").ok());
  const auto texts = builder.Finish().ValueOrDie();
  for (const char* pattern : {"", "%", "a%", "%b", "ab", "%a_%", "%a\\%%"}) {
    const cp::MatchSubstringOptions options(pattern);
    EXPECT_FALSE(MatchText("match_like", texts, &options, arrow::default_memory_pool())
                     .ValueOrDie()
                     .has_value())
        << pattern;
  }
  const cp::MatchSubstringOptions any_case("A", /*ignore_case=*/true);
  EXPECT_FALSE(MatchText("match_substring", texts, &any_case, arrow::default_memory_pool())
                   .ValueOrDie()
                   .has_value());
}

}  // namespace
}  // namespace headrace
