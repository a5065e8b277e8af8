#include "headrace/runtime/store/checksum.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "headrace/base/rng.h"

namespace headrace {
namespace {

std::uint64_t ChecksumOf(const std::string& bytes) {
  Checksum checksum;
  checksum.Update(bytes.data(), static_cast<std::int64_t>(bytes.size()));
  return checksum.Finish();
}

std::string RandomText(Rng& rng, std::size_t size) {
  std::string bytes(size, '\0');
  for (char& c : bytes) c = static_cast<char>(rng.Below(256));
  return bytes;
}

TEST(ChecksumTest, DoesNotDependOnTheCalls) {
  Rng rng(1);
  Checksum checksum;
  for (int i = 0; i < 200; ++i) {
    const std::string bytes = RandomText(rng, rng.Below(1000));
    for (std::size_t begin = 0; begin < bytes.size();) {
      const std::size_t part = std::min<std::size_t>(bytes.size() - begin, rng.Below(150));
      checksum.Update(bytes.data() + begin, static_cast<std::int64_t>(part));
      begin += part;
    }
    EXPECT_EQ(checksum.Finish(), ChecksumOf(bytes));
  }
}

TEST(ChecksumTest, FindsWhatChanged) {
  Rng rng(2);
  const std::string bytes = RandomText(rng, 1000);
  const std::uint64_t right = ChecksumOf(bytes);
  for (std::size_t place = 0; place < bytes.size(); ++place) {
    for (int bit = 0; bit < 8; ++bit) {
      std::string other = bytes;
      other[place] = static_cast<char>(other[place] ^ (1 << bit));
      ASSERT_NE(ChecksumOf(other), right) << place;
    }
  }
  std::string swapped = bytes;
  std::swap_ranges(swapped.begin(), swapped.begin() + 64, swapped.begin() + 128);
  EXPECT_NE(ChecksumOf(swapped), right);
  EXPECT_NE(ChecksumOf(bytes.substr(0, 999)), right);
  EXPECT_NE(ChecksumOf(std::string(64, '\0')), ChecksumOf(std::string(65, '\0')));
}

}  // namespace
}  // namespace headrace
