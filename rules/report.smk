# Gathering: the long table, tables, figures and the report. `snakemake --report` shows what is marked here.
rule gather:
    """Gather all results; results of other settings are refused by name."""
    input:
        rows=rows_of_tables,
    output:
        csv=report(
            results("tables/results.csv"),
            caption="captions/results.rst",
            category="Tables",
            labels={"Table": "Every result"},
        ),
        costs=results("tables/costs.csv"),
        references=report(
            results("tables/references.bib"),
            caption="captions/references.rst",
            category="Tables",
            labels={"Table": "Cited works, BibTeX"},
        ),
        tables=[
            report(
                results(f"tables/{name}.html"),
                caption="captions/table.rst",
                category="Tables",
                labels={"Table": PLAN.config.evaluations[name].title},
            )
            for name in EVALUATED
        ],
        latex=[results(f"tables/{name}.tex") for name in [*EVALUATED, "all"]],
        figures=[
            report(
                directory(results(f"figures/{kind}")),
                patterns=["{figure}.png"],
                caption=f"captions/{kind}.rst",
                category="Figures",
                subcategory=title,
                labels=title_of(kind),
            )
            for kind, title in KINDS.items()
        ],
        report=report(
            results("report.html"),
            caption="captions/report.rst",
            category="Report",
            labels={"Report": "Everything on one page"},
        ),
    log:
        results("logs/tables/gather.log"),
    benchmark:
        results("logs/tables/gather.benchmark.tsv")
    threads: 1
    resources:
        gpu=COMPUTE.report.gpu,
        mem_mb=COMPUTE.report.mem_mb,
        runtime=COMPUTE.report.runtime,
    params:
        plan=results("plan.json"),
        digest=PLAN.digest,
        tables=lambda wildcards, output: str(Path(output.csv).parent),
    shell:
        IKEM
        + " gather {params.plan:q} {params.tables:q} --digest {params.digest} --log {log:q}"


rule tables_so_far:
    """Tables of what is there: cells without a result stay empty and say why."""
    input:
        lambda wildcards: begin(),
    log:
        results("logs/tables/so_far.log"),
    threads: 1
    resources:
        gpu=COMPUTE.report.gpu,
        mem_mb=COMPUTE.report.mem_mb,
        runtime=COMPUTE.report.runtime,
    params:
        plan=results("plan.json"),
        tables=results("tables"),
    shell:
        IKEM + " gather {params.plan:q} {params.tables:q} --partial --log {log:q}"
