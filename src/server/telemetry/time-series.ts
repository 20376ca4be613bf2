/** Columns of numbers, one row an interval; the oldest rows fall out. */
export class TimeSeries<Column extends string> {
  readonly #columns: Readonly<Record<Column, Float64Array>>
  readonly #length: number
  #count = 0
  #lastAtMs = 0

  constructor(columns: readonly Column[], length: number) {
    this.#length = length
    this.#columns = Object.fromEntries(
      columns.map((column) => [column, new Float64Array(length)]),
    ) as Record<Column, Float64Array>
  }

  add(row: Readonly<Record<Column, number>>, atMs: number): void {
    const index = this.#count % this.#length
    for (const column in this.#columns) this.#columns[column][index] = row[column]
    this.#count += 1
    this.#lastAtMs = atMs
  }

  /** Of the newest row; 0: there is none. */
  get lastAtMs(): number {
    return this.#lastAtMs
  }

  /** The oldest first. */
  values(column: Column): number[] {
    const values = this.#columns[column]
    if (this.#count <= this.#length) return [...values.subarray(0, this.#count)]
    const start = this.#count % this.#length
    return [...values.subarray(start), ...values.subarray(0, start)]
  }
}
