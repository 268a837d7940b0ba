# Training: a rule for each stage of each registered method, named as the stage is.
for name in STAGES:

    rule:
        name:
            name
        input:
            unpack(inputs_of(name)),
        output:
            state=output_of(name),
            metrics=next_to(name, "metrics.csv"),
        log:
            log_of(name),
        benchmark:
            timing_of(name)
        priority: JOB_TYPES[name].priority
        threads: divided(name, COMPUTE.threads)
        resources:
            gpu=divided(name, COMPUTE.train.gpu),
            lsf_extra=lsf_of_training(name),
            mem_mb=divided(name, COMPUTE.train.mem_mb),
            runtime=COMPUTE.train.runtime,
        params:
            settings=settings_of(name),
            files=arguments_of(name),
            options=training_options(name),
        shell:
            RUN

    workflow.get_rule(name).docstring = JOB_TYPES[name].summary


for name in STAGES:

    rule:
        name:
            f"all_{name}"
        input:
            outputs_of(name),

    workflow.get_rule(f"all_{name}").docstring = f"Every job of {name}."


rule train:
    """Train everything that the config asks for."""
    input:
        outputs_of(*STAGES),
