//! Tests of the grammar of names over runs that no table of frameworks has.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::time::{Duration, Instant};

use proptest::prelude::*;
use rstest::rstest;

use super::*;

fn paths(names: &[&str]) -> Vec<PathBuf> {
    names.iter().map(PathBuf::from).collect()
}

fn steps(names: &[&str]) -> Vec<(Option<u64>, String)> {
    let found = arrange(&paths(names));
    let point = |point: &NamedPoint| (point.step, point.path.display().to_string());
    found.points.iter().map(point).collect()
}

/// Each file with its step, in order, and files that are no points.
#[rstest]
#[case::words_glued_to_numbers(&[("run3_ep1it500.pt", 500), ("run3_ep1it1000.pt", 1000), ("run3_ep2it1500.pt", 1500)], &[])]
#[case::samples_beside_the_checkpoints(&[("epoch_0.pt", 0), ("epoch_1.pt", 1)], &["train.safetensors", "test.safetensors", "isoloss.toml"])]
#[case::numbers_before_two_words(&[("1000_steps_8_epochs.pt", 1000), ("2000_steps_16_epochs.pt", 2000), ("10000_steps_80_epochs.pt", 10000)], &[])]
#[case::camel_case(&[("modelEpoch9.pth", 9), ("modelEpoch10.pth", 10), ("modelEpoch100.pth", 100)], &["modelBest.pth", "modelLast.pth"])]
#[case::a_score_of_whole_percents(&[("net-9-71.pt", 9), ("net-10-68.pt", 10), ("net-11-74.pt", 11), ("net-100-73.pt", 100)], &[])]
#[case::a_score_before_the_step(&[("acc71_step900.pt", 900), ("acc68_step1000.pt", 1000), ("acc74_step10000.pt", 10000)], &[])]
#[case::hydra_dates(&[("outputs/2024-03-01/12-30-15/ckpt_9.pt", 9), ("outputs/2024-03-01/12-30-15/ckpt_10.pt", 10)], &["outputs/2024-03-01/12-30-15/main.log"])]
#[case::a_date_in_each_name(&[("20240301_101500_it900.pt", 900), ("20240301_113000_it1000.pt", 1000), ("20240302_001500_it10000.pt", 10000)], &[])]
#[case::tensorboard_folder(&[("Jun01_12-30-15_host7/9.pt", 9), ("Jun01_12-30-15_host7/10.pt", 10), ("Jun01_12-30-15_host7/100.pt", 100)], &["Jun01_12-30-15_host7/events.out.tfevents.1717.host7"])]
#[case::sizes_and_settings(&[("vit_b16_224_lr3e-4_bs256_ep9.pt", 9), ("vit_b16_224_lr3e-4_bs256_ep10.pt", 10), ("vit_b16_224_lr3e-4_bs256_ep100.pt", 100)], &[])]
#[case::rates_differ_too(&[("lr0.1_e9.pt", 9), ("lr0.01_e10.pt", 10), ("lr0.001_e100.pt", 100)], &[])]
#[case::millions_of_samples(&[("model-0.5M.pt", 500_000), ("model-1M.pt", 1_000_000), ("model-10M.pt", 10_000_000)], &["model-final.pt"])]
#[case::thousands_beside_plain(&[("ckpt_500.pt", 500), ("ckpt_1k.pt", 1000), ("ckpt_10k.pt", 10000)], &[])]
#[case::actor_beside_critic(&[("actor_900.pt", 900), ("actor_1000.pt", 1000), ("actor_10000.pt", 10000)], &["critic_900.pt", "critic_1000.pt", "critic_10000.pt"])]
#[case::policy_beside_value(&[("900/policy.pt", 900), ("1000/policy.pt", 1000)], &["900/value.pt", "1000/value.pt", "900/optimizer.pt"])]
#[case::optimizer_in_its_own_folder(&[("weights/9.pt", 9), ("weights/10.pt", 10)], &["optimizer/9.pt", "optimizer/10.pt"])]
#[case::average_behind_the_number(&[("step_900.pt", 900), ("step_1000.pt", 1000)], &["step_900_ema.pt", "step_1000_ema.pt"])]
#[case::average_in_a_folder(&[("model/900.pt", 900), ("model/1000.pt", 1000)], &["ema/900.pt", "ema/1000.pt"])]
#[case::average_alone(&[("ema_900.pt", 900), ("ema_1000.pt", 1000)], &[])]
#[case::student_and_teacher(&[("student_ep9.pth", 9), ("student_ep10.pth", 10)], &["teacher_ep9.pth", "teacher_ep10.pth"])]
#[case::fold_in_the_name(&[("fold1_epoch9.pt", 9), ("fold1_epoch10.pt", 10)], &["fold0_epoch9.pt", "fold0_epoch10.pt"])]
#[case::seeds_as_folders(&[("seed_2/step_9.pt", 9), ("seed_2/step_10.pt", 10)], &["seed_1/step_9.pt", "seed_1/step_10.pt"])]
#[case::folders_of_dated_runs(&[("2024-05-02_10-00-00/epoch_9.pt", 9), ("2024-05-02_10-00-00/epoch_10.pt", 10)], &["2024-05-01_10-00-00/epoch_9.pt", "2024-05-01_10-00-00/epoch_10.pt"])]
#[case::named_runs(&[("runB/epoch_9.pt", 9), ("runB/epoch_10.pt", 10), ("runB/epoch_11.pt", 11)], &["runA/epoch_9.pt", "runA/epoch_10.pt", "runA/last.pt"])]
#[case::best_and_last_each_with_its_epoch(&[("best_epoch_7.pt", 7), ("last_epoch_10.pt", 10)], &[])]
#[case::a_remark_behind_the_number(&[("epoch1.pt", 1), ("epoch2_good.pt", 2), ("epoch10_before_lr_drop.pt", 10)], &[])]
#[case::shards_of_two_files(&[("checkpoint-900/model-00001-of-00002.safetensors", 900), ("checkpoint-1000/model-00001-of-00002.safetensors", 1000)], &["checkpoint-900/model-00002-of-00002.safetensors", "checkpoint-1000/model-00002-of-00002.safetensors", "checkpoint-900/model.safetensors.index.json"])]
#[case::folders_themselves(&[("checkpoint-900", 900), ("checkpoint-1000", 1000), ("checkpoint-10000", 10000)], &[""])]
#[case::step_far_above(&[("it900/a/b/c/w.bin", 900), ("it1000/a/b/c/w.bin", 1000)], &["latest/a/b/c/w.bin"])]
#[case::a_space_before_the_number(&[("my model 9.pt", 9), ("my model 10.pt", 10)], &["my model.pt"])]
#[case::numbers_in_brackets(&[("ckpt (9).pt", 9), ("ckpt (10).pt", 10)], &["ckpt.pt"])]
#[case::words_of_another_script(&[("模型_9轮.pt", 9), ("模型_10轮.pt", 10)], &[])]
#[case::kimg(&[("snapshot-kimg000200.pkl", 200), ("snapshot-kimg001000.pkl", 1000)], &[])]
#[case::dots_between(&[("net.step.900.loss.0.31.pt", 900), ("net.step.1000.loss.0.29.pt", 1000)], &[])]
#[case::iteration_in_the_folder_above_the_epoch(&[("epoch_1/step_900.pt", 900), ("epoch_1/step_1000.pt", 1000), ("epoch_2/step_1900.pt", 1900)], &[])]
#[case::tokens_and_steps(&[("step1000-tokens4B/model.pt", 1000), ("step2000-tokens8B/model.pt", 2000)], &["step1000-tokens4B/optim.pt"])]
#[case::two_layers_of_ranks(&[("it_900/mp_rank_00/m.pt", 900), ("it_1000/mp_rank_00/m.pt", 1000)], &["it_900/mp_rank_01/m.pt", "it_1000/mp_rank_01/m.pt"])]
#[case::networks_by_index(&[("step_900/net_0.pt", 900), ("step_1000/net_0.pt", 1000)], &["step_900/net_1.pt", "step_1000/net_1.pt"])]
#[case::versions_that_a_user_counts(&[("model_v1.pt", 1), ("model_v2.pt", 2), ("model_v10.pt", 10)], &[])]
#[case::one_file_with_a_step(&[("resnet50_model_40.pth", 40)], &["resnet50_best.pth"])]
#[case::seconds_since_1970(&[("1717230000_step900.pt", 900), ("1717240000_step1000.pt", 1000)], &[])]
#[case::random_letters_of_the_run(&[("3f9a1c7e/model-9.pt", 9), ("3f9a1c7e/model-10.pt", 10)], &[])]
#[case::epochs_of_other_words(&[("pass-00009.pt", 9), ("pass-00010.pt", 10)], &[])]
#[case::updates_before_the_epoch(&[("checkpoint-5000-epoch-9", 5000), ("checkpoint-10000-epoch-10", 10000)], &[])]
#[case::loss_hangs_on_its_word(&[("ep009-loss0.054-val_loss0.047.pth", 9), ("ep010-loss0.051-val_loss0.048.pth", 10), ("ep100-loss0.012-val_loss0.066.pth", 100)], &["last_epoch_weights.pth", "best_epoch_weights.pth"])]
#[case::an_environment_with_a_version(&[("sac_actor_HalfCheetah-v2_90000", 90000), ("sac_actor_HalfCheetah-v2_100000", 100_000)], &["sac_critic_HalfCheetah-v2_90000", "sac_critic_HalfCheetah-v2_100000"])]
#[case::direction_of_a_translation(&[("netG_A2B_9.pth", 9), ("netG_A2B_10.pth", 10)], &["netG_B2A_9.pth", "netG_B2A_10.pth", "netD_A_9.pth", "netD_A_10.pth"])]
#[case::runs_of_one_environment(&[("CartPole-v1_2/rl_model_900_steps.zip", 900), ("CartPole-v1_2/rl_model_1000_steps.zip", 1000)], &["CartPole-v1_1/rl_model_900_steps.zip", "CartPole-v1_1/rl_model_1000_steps.zip"])]
#[case::a_run_without_and_one_with_a_number(&[("exp2/weights/epoch9.pt", 9), ("exp2/weights/epoch10.pt", 10)], &["exp/weights/epoch9.pt", "exp/weights/epoch10.pt"])]
#[case::parameters_beside_optimizer(&[("epoch_9.pdparams", 9), ("epoch_10.pdparams", 10)], &["epoch_9.pdopt", "epoch_10.pdopt"])]
#[case::a_language_model_called_opt(&[("opt-125m/step_900.pt", 900), ("opt-125m/step_1000.pt", 1000)], &[])]
#[case::h5(&[("model.009.h5", 9), ("model.010.h5", 10)], &["model.h5"])]
#[case::commas(&[("iter_9,000.pt", 9000), ("iter_10,000.pt", 10000), ("iter_100,000.pt", 100_000)], &[])]
#[case::a_schedule_in_the_model_s_name(&[("cosine_sched_model_9.pt", 9), ("cosine_sched_model_10.pt", 10)], &[])]
#[case::parts_of_a_pipeline(&[("500/unet/pytorch_model.bin", 500), ("1000/unet/pytorch_model.bin", 1000)], &["500/text_encoder/pytorch_model.bin", "1000/text_encoder/pytorch_model.bin", "500/vae/pytorch_model.bin", "1000/vae/pytorch_model.bin"])]
#[case::a_job_resubmitted(&[("slurm-123456/ckpt_9.pt", 9), ("slurm-123456/ckpt_10.pt", 10), ("slurm-123457/ckpt_11.pt", 11)], &[])]
#[case::best_of_its_own_step(&[("model_0001.pt", 1), ("model_0005.pt", 5), ("model_best_0009.pt", 9), ("model_0010.pt", 10)], &[])]
#[case::encoder_below_the_model(&[("9.pt", 9), ("10.pt", 10), ("11.pt", 11)], &["encoder/pretrained.pt"])]
fn runs_of_other_makers(#[case] points: &[(&str, u64)], #[case] others: &[&str]) {
    let names: Vec<&str> = points
        .iter()
        .map(|(name, _)| *name)
        .chain(others.iter().copied())
        .collect();
    let expected: Vec<(Option<u64>, String)> = points
        .iter()
        .map(|(name, step)| (Some(*step), (*name).to_owned()))
        .collect();
    assert_eq!(steps(&names), expected);
}

/// Runs whose order alone is known.
#[rstest]
#[case::iterations_start_again(&["epoch_1_iter_100.pth", "epoch_1_iter_200.pth", "epoch_2_iter_100.pth", "epoch_2_iter_200.pth", "epoch_10_iter_100.pth"])]
#[case::without_words(&["m_0_500.pt", "m_0_1000.pt", "m_1_500.pt", "m_1_1000.pt", "m_2_500.pt", "m_2_1000.pt"])]
#[case::in_folders(&["epoch_9/batch_50.pt", "epoch_9/batch_100.pt", "epoch_10/batch_50.pt"])]
#[case::dates_alone(&["ckpt_2024-02-28_23-59-01.pt", "ckpt_2024-02-29_00-01-02.pt", "ckpt_2024-03-01_08-00-00.pt"])]
#[case::days_alone(&["model_20240228.pt", "model_20240229.pt", "model_20240301.pt"])]
#[case::seconds_alone(&["1717230000.pt", "1717240000.pt", "1717250000.pt"])]
fn order_alone(#[case] names: &[&str]) {
    let found = arrange(&paths(names));
    let order: Vec<String> = found
        .points
        .iter()
        .map(|p| p.path.display().to_string())
        .collect();
    assert_eq!(order, names);
    assert_eq!(found.unit, StepUnit::Order);
}

#[rstest]
#[case::one_file(&["ckpt.pt"])]
#[case::no_number_is_a_step(&["resnet50.pth"])]
#[case::a_version(&["model-v2.pt"])]
#[case::a_score(&["best_acc=0.93.pt"])]
#[case::a_size(&["pythia-70m/model.safetensors"])]
#[case::best_before_last(&["best.pt", "last.pt"])]
#[case::hashes(&["7f3a9c1.pt", "b81d00e.pt"])]
fn names_without_steps_leave_them_to_the_contents(#[case] names: &[&str]) {
    let expected: Vec<(Option<u64>, String)> = names
        .iter()
        .map(|name| (None, (*name).to_owned()))
        .collect();
    assert_eq!(steps(names), expected);
}

#[test]
fn an_empty_folder_and_one_of_other_files_have_no_path() {
    assert_eq!(arrange(&[]), FileArrangement::default());
    let found = arrange(&paths(&[
        "train.log",
        "config.yaml",
        "optimizer.pt",
        ".hidden/model_3.pt",
    ]));
    assert!(found.points.is_empty());
    assert_eq!(found.left_out.len(), 4);
}

#[test]
fn globs_of_alternatives_take_their_family_alone() {
    let names = ["5_net_G.pth", "10_net_G.pth", "5_net_D.pth", "10_net_D.pth"];
    let found = arrange(&paths(&names));
    assert_eq!(found.pattern, "*_net_G.pth");
    let [other] = found.alternatives.as_slice() else {
        panic!("{:?}", found.alternatives)
    };
    assert_eq!((other.pattern.as_str(), other.files), ("*_net_D.pth", 2));
    let taken = names
        .iter()
        .filter(|name| glob_matches(&other.pattern, Path::new(name)));
    assert_eq!(taken.count(), 2);
    let found = arrange(&paths(&[
        "checkpoint1.pt",
        "checkpoint2.pt",
        "checkpoint_1_9.pt",
        "checkpoint_1_10.pt",
        "checkpoint_2_11.pt",
    ]));
    let other = &found.alternatives.first().unwrap().pattern;
    assert!(glob_matches(other, Path::new("checkpoint1.pt")));
    assert!(
        !glob_matches(other, Path::new("checkpoint_1_9.pt")),
        "{other}"
    );
}

#[test]
fn globs_match_paths_names_and_whole_folders() {
    for (glob, path, expected) in [
        ("*.pt", "a/b/x.pt", true),
        ("a/*.pt", "a/b/x.pt", false),
        ("a/**", "a/b/x.pt", true),
        ("a/", "a/b/x.pt", true),
        ("./a", "a/b/x.pt", true),
        ("{x,y}.pt", "b/y.pt", true),
        ("[", "[", false),
        ("version_0/**", "version_1/x.ckpt", false),
        ("*_net_G.pth", "10_net_G.pth", true),
    ] {
        assert_eq!(
            glob_matches(glob, Path::new(path)),
            expected,
            "{glob} {path}"
        );
    }
}

#[test]
fn numbers_beyond_all_counters_and_odd_letters_are_no_steps() {
    let long = "9".repeat(200);
    let names = [
        format!("m_{long}.pt"),
        format!("{long}e{long}.pt"),
        "1e400.pt".to_owned(),
        "18446744073709551616k.pt".to_owned(),
        "٣_model_😀_1st.pt".to_owned(),
        format!("{}.pt", "1_".repeat(2000)),
        "a/../b/./3.pt".to_owned(),
        "/etc/passwd".to_owned(),
    ];
    let found = arrange(&names.iter().map(PathBuf::from).collect::<Vec<_>>());
    assert_eq!(found.points.len() + found.left_out.len(), names.len());
}

#[test]
fn a_hundred_thousand_files_are_arranged_at_once() {
    for name in [
        |at: usize| format!("runs/{}/epoch_{}_iter_{at}.pt", at % 7, at / 100),
        |at: usize| format!("{at:x}/weights_{}.bin", at * 31 % 1009),
        |at: usize| format!("a{at}b{}c{}_x.pt", at % 3, at % 11),
    ] {
        let paths: Vec<PathBuf> = (0..100_000).map(|at| PathBuf::from(name(at))).collect();
        let start = Instant::now();
        let found = arrange(&paths);
        assert!(
            start.elapsed() < Duration::from_secs(20),
            "{:?}",
            start.elapsed()
        );
        assert_eq!(found.points.len() + found.left_out.len(), paths.len());
    }
}

proptest! {
    #[test]
    fn the_order_of_the_input_is_no_matter(
        names in prop::collection::vec("(a/|b1/)?(epoch|step|m|G|D)?[_-]?[0-9]{0,3}(_[0-9]{1,2}|_best|_0\\.5)?\\.(pt|ckpt)", 1..12),
        seed in any::<u64>(),
    ) {
        let paths: Vec<PathBuf> = names.iter().map(PathBuf::from).collect();
        let mut mixed = paths.clone();
        let length = mixed.len();
        for at in 0..length {
            mixed.swap(at, (seed as usize).wrapping_mul(at + 7) % length);
        }
        prop_assert_eq!(arrange(&paths), arrange(&mixed));
    }

    #[test]
    fn any_names_are_arranged_without_a_panic(names in prop::collection::vec("\\PC{0,40}", 0..8)) {
        let paths: Vec<PathBuf> = names.iter().map(PathBuf::from).collect();
        let found = arrange(&paths);
        let mut distinct = paths.clone();
        distinct.sort();
        distinct.dedup();
        prop_assert!(found.points.len() + found.left_out.len() >= distinct.len().min(1));
        let steps: Vec<_> = found.points.iter().filter_map(|point| point.step).collect();
        prop_assert!(steps.is_sorted_by(|a, b| a < b));
    }

    #[test]
    fn names_of_digits_and_signs_are_arranged_without_a_panic(names in prop::collection::vec("[0-9eE.kM_:=/ -]{0,40}", 0..8)) {
        let paths: Vec<PathBuf> = names.iter().map(PathBuf::from).collect();
        let found = arrange(&paths);
        let steps: Vec<_> = found.points.iter().filter_map(|point| point.step).collect();
        prop_assert!(steps.is_sorted_by(|a, b| a < b));
    }
}
