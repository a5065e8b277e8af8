#pragma once

#include <algorithm>
#include <cstdint>
#include <deque>
#include <memory>
#include <tuple>
#include <utility>
#include <vector>

#include "headrace/control/schedule/exchange_plan.h"
#include "headrace/control/schedule/merge_pass.h"
#include "headrace/control/schedule/output_order.h"
#include "headrace/control/schedule/scheduler.h"
#include "sim_plan.h"

// What a plan must give, computed without a scheduler.

namespace headrace::simtest {

/// Returns the budget that exchanges plan with in a run of `c`.
inline std::int64_t BudgetOf(const Case& c) {
  return ExchangeBudget(c.options, {c.sim.capacity, c.sim.object_store_bytes});
}

/// A block as a test sees it.
struct Row {
  Position position;
  std::int64_t num_rows = 0;
  friend auto operator<=>(const Row&, const Row&) = default;
};

/// What the plan gives, in order, and how many tasks fail by user error on the way.
struct Expected {
  std::vector<Row> blocks;
  std::int64_t errors = 0;
  std::int64_t passes = 0;  // Of merges before the last ones.
  bool has_limit = false;
};

/// Computes what the plan of `c` gives from the model alone: the oracle.
class Oracle {
 public:
  explicit Oracle(const Case& c) : case_(c), orders_(OutputOrders(c.plan)) {}

  Expected Compute() {
    const auto blocks = Eval(static_cast<std::int32_t>(case_.plan.operators.size()) - 1);
    for (const BlockInfo& block : blocks) {
      out_.blocks.push_back({block.position, block.num_rows});
    }
    return std::move(out_);
  }

 private:
  using Blocks = std::vector<BlockInfo>;

  static BlockInfo Block(const Position& position, const SimModel::Block& size) {
    BlockInfo info;
    info.num_rows = size.num_rows;
    info.num_bytes = size.num_bytes;
    info.position = position;
    return info;
  }

  void RunTask(OperatorId op, const TaskProgram& program, const Position& position,
               std::int64_t rows_in, Blocks* out) {
    const auto outputs = case_.sim.model.OutputsOf(op, position, rows_in);
    std::uint32_t index = 0;
    for (const SimModel::Block& block : outputs.blocks) {
      BlockInfo info = Block(position, block);
      info.position.path.push_back(index++);
      info.index = case_.sim.model.IndexOf(program, info.position, block.num_rows);
      out->push_back(std::move(info));
    }
    if (outputs.error_after) ++out_.errors;
  }

  Blocks EvalMap(OperatorId op, const TaskOperator& map, const TaskProgram& program,
                 const Blocks& in) {
    const OperatorId input = case_.plan.operators[static_cast<std::size_t>(op.value)].inputs[0];
    const std::int64_t large_rows = orders_[static_cast<std::size_t>(input.value)].large_rows;
    Blocks out;
    std::size_t begin = 0;
    std::int64_t rows = 0;
    for (std::size_t i = 0; i < in.size(); ++i) {
      rows += in[i].num_rows;
      const bool more = i + 1 < in.size();
      const bool large =
          in[i].num_rows >= large_rows;  // It stands alone, and so do its neighbours.
      if (rows < map.min_bundle_rows && more && !large && in[i + 1].num_rows < large_rows) continue;
      RunTask(op, program, in[begin].position, rows, &out);
      begin = i + 1;
      rows = 0;
    }
    return out;
  }

  // Whether the tasks of `op` may join instead of scattering their rows.
  bool MayJoin(OperatorId op, const Resources& cost) const {
    const OperatorSpec& spec = case_.plan.operators[static_cast<std::size_t>(op.value)];
    const auto* exchange = spec.As<ExchangeOperator>();
    const auto* task = spec.As<TaskOperator>();
    const ProgramPtr program = exchange ? exchange->program : task ? task->program : nullptr;
    return program != nullptr && !program->steps.empty() &&
           cost.FitsIn(exchange ? exchange->cost : task->cost) &&
           std::holds_alternative<ScatterStep>(program->steps.back());
  }

  bool Broadcasts(const ExchangeOperator& exchange, OperatorId left, const Blocks& right) const {
    std::int64_t bytes = 0;
    for (const BlockInfo& info : right) bytes += info.num_bytes;
    return exchange.broadcast_bytes > 0 && MayJoin(left, exchange.cost) &&
           bytes <= std::min(exchange.broadcast_bytes, BudgetOf(case_) / 16);
  }

  // `last`: the program whose last step the tasks do in the end.
  Blocks EvalExchange(OperatorId op, const ExchangeOperator& exchange, const TaskProgram* last,
                      const std::vector<OperatorId>& inputs) {
    std::vector<Blocks> in(inputs.size());
    if (last == nullptr) last = exchange.program.get();
    if (inputs.size() == 2) in[1] = Eval(inputs[1].value);
    if (inputs.size() == 2 && Broadcasts(exchange, inputs[0], in[1])) {
      return Eval(inputs[0].value, last);
    }
    in[0] = Eval(inputs[0].value);
    Blocks out;
    if (exchange.kind == ExchangeKind::kBroadcast) {
      std::int64_t small = 0;
      for (const BlockInfo& info : in[static_cast<std::size_t>(exchange.small_input)]) {
        small += info.num_rows;
      }
      for (const BlockInfo& info : in[static_cast<std::size_t>(1 - exchange.small_input)]) {
        RunTask(op, *last, info.position, info.num_rows + small, &out);
      }
      return out;
    }
    std::vector<const BlockInfo*> all;
    std::vector<InputInfos> infos;
    for (Blocks& blocks : in) {
      std::stable_sort(blocks.begin(), blocks.end(), [](const BlockInfo& a, const BlockInfo& b) {
        return a.position < b.position;
      });
      for (const BlockInfo& info : blocks) all.push_back(&info);
      infos.emplace_back(all.end() - static_cast<std::ptrdiff_t>(blocks.size()), all.end());
    }
    if (exchange.kind == ExchangeKind::kPermuted) return Permuted(exchange.seed, in.front());
    if (all.empty() && exchange.kind != ExchangeKind::kGathered) return out;
    if (exchange.kind == ExchangeKind::kRowBatches) {
      std::int64_t left = 0;
      for (const BlockInfo* info : all) left += info->num_rows;
      for (std::uint32_t task = 0; left > 0 || task == 0; ++task) {
        const std::int64_t rows = std::min(left, exchange.rows_per_partition);
        RunTask(op, *last, {{task}}, rows, &out);
        left -= rows;
      }
      return out;
    }
    const ExchangePlace place{std::max<std::int64_t>(1, case_.sim.capacity.cpu_milli / 1000),
                              BudgetOf(case_)};
    std::deque<Blocks> merged;
    if (exchange.kind == ExchangeKind::kRuns) Merge(op, exchange, place, &infos.front(), &merged);
    if (infos.front().empty() && exchange.kind == ExchangeKind::kRuns) return out;
    const auto plan = *MakeExchangePlan(exchange, std::move(infos), place);
    for (std::uint32_t task = 0; task < plan->num_tasks(); ++task) {
      std::int64_t rows = 0;
      for (const BlockPart& part : plan->WorkOf(task).parts) {
        rows += part.range.end - part.range.begin;
      }
      RunTask(op, *last, {{task}}, rows, &out);
    }
    return out;
  }

  /// Puts what passes of merges make, which goes to `merged`, in place of what they read.
  void Merge(OperatorId op, const ExchangeOperator& exchange, const ExchangePlace& place,
             InputInfos* infos, std::deque<Blocks>* merged) {
    for (std::uint32_t number = 0;; ++number) {
      const auto pass = *MakeMergePass(exchange, *infos, place);
      if (!pass) return;
      InputInfos next;
      std::uint32_t group = UINT32_MAX, in_group = 0;
      pass->ForEach([&](std::uint32_t block) { next.push_back((*infos)[block]); },
                    [&](std::uint32_t task, std::uint32_t first) {
                      std::int64_t rows = 0;
                      for (const BlockPart& part : pass->WorkOf(task).parts) {
                        rows += part.range.end - part.range.begin;
                      }
                      Blocks& made = merged->emplace_back();
                      RunTask(op, *MergeProgram(exchange), {{number, task}}, rows, &made);
                      if (group != first) in_group = 0;
                      group = first;
                      for (BlockInfo& info : made) {
                        info.position = (*infos)[first]->position;
                        info.position.path.back() = in_group++;
                        next.push_back(&info);
                      }
                    });
      *infos = std::move(next);
      ++out_.passes;
    }
  }

  static Blocks Permuted(std::uint64_t seed, Blocks blocks) {
    Rng rng(seed);
    for (std::size_t left = blocks.size(); left > 1; --left) {
      std::swap(blocks[left - 1], blocks[rng.Below(left)]);
    }
    for (std::size_t i = 0; i < blocks.size(); ++i) {
      blocks[i].position.path = {static_cast<std::uint32_t>(i)};
    }
    return blocks;
  }

  /// By turns, as a list of the blocks that are left of each input says.
  Blocks Mixed(const MixOperator& mix, const std::vector<OperatorId>& inputs) {
    std::vector<std::deque<BlockInfo>> left;
    double all_weights = 0, all_rows = 0;
    for (std::size_t i = 0; i < inputs.size(); ++i) {
      const Blocks blocks = Eval(inputs[i].value);
      left.emplace_back(blocks.begin(), blocks.end());
      all_weights += mix.weights[i];
    }
    std::vector<double> taken(inputs.size());
    Blocks out;
    while (true) {
      std::vector<std::tuple<double, double, std::size_t>> lacks;  // The least has its turn.
      for (std::size_t i = 0; i < left.size(); ++i) {
        if (left[i].empty() && mix.stop_on_shortest) return out;
        if (left[i].empty()) continue;
        const double share = mix.weights[i] / all_weights;
        lacks.emplace_back(taken[i] - share * all_rows, -share, i);
      }
      if (lacks.empty()) return out;
      const std::size_t next = std::get<2>(*std::min_element(lacks.begin(), lacks.end()));
      BlockInfo block = std::move(left[next].front());
      left[next].pop_front();
      taken[next] += static_cast<double>(block.num_rows);
      all_rows += static_cast<double>(block.num_rows);
      block.position.path.insert(block.position.path.begin(),
                                 static_cast<std::uint32_t>(out.size()));
      out.push_back(std::move(block));
    }
  }

  Blocks Eval(std::int32_t index, const TaskProgram* last = nullptr) {
    const OperatorId op{index};
    const OperatorSpec& spec = case_.plan.operators[static_cast<std::size_t>(index)];
    Blocks out;
    if (spec.As<InputOperator>() != nullptr) {
      for (const auto& block : case_.input_blocks[static_cast<std::size_t>(index)]) {
        out.push_back(Block({{static_cast<std::uint32_t>(out.size())}}, block));
      }
    } else if (spec.As<UnionOperator>() != nullptr) {
      for (std::size_t i = 0; i < spec.inputs.size(); ++i) {
        for (BlockInfo& row : Eval(spec.inputs[i].value)) {
          row.position.path.insert(row.position.path.begin(), static_cast<std::uint32_t>(i));
          out.push_back(std::move(row));
        }
      }
    } else if (const auto* mix = spec.As<MixOperator>()) {
      out_.has_limit = out_.has_limit || mix->stop_on_shortest;
      out = Mixed(*mix, spec.inputs);
    } else if (const auto* limit = spec.As<LimitOperator>()) {
      out_.has_limit = true;
      std::int64_t left = limit->rows;
      for (BlockInfo& row : Eval(spec.inputs[0].value)) {
        if (left == 0) break;
        if (row.num_rows > left) {
          row.position.path.push_back(0);
          row.num_rows = row.num_bytes = left;
        }
        left -= row.num_rows;
        out.push_back(std::move(row));
      }
    } else if (const auto* exchange = spec.As<ExchangeOperator>()) {
      return EvalExchange(op, *exchange, last, spec.inputs);
    } else if (const auto* task = spec.As<TaskOperator>()) {
      const TaskProgram& program = last != nullptr ? *last : *task->program;
      if (!spec.inputs.empty()) return EvalMap(op, *task, program, Eval(spec.inputs[0].value));
      for (const auto& group : task->unit_groups) {
        RunTask(op, program, {{group.front()}}, -1, &out);
      }
    }
    return out;
  }

  const Case& case_;
  const std::vector<OutputOrder> orders_;
  Expected out_;
};

}  // namespace headrace::simtest
