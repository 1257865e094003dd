// TensorFlow.js takes a mask of one row for all rows, and one of more steps than the input has. Exit status 1 while it does.
import {createRequire} from 'node:module';

console.log = console.warn = () => {};
const tf = createRequire(`${process.cwd()}/`)('@tensorflow/tfjs'); // of the folder that it is called from
await tf.setBackend('cpu');

function layer(name, more = {}) {
  const ones = {kernelInitializer: 'ones', recurrentInitializer: 'ones', units: 1, returnSequences: true};
  return tf.layers[name]({...ones, batchInputShape: [null, null, 1], ...more});
}

let taken = 0;
for (const shape of [[1, 3], [2, 4]]) {
  try {
    layer('lstm').apply(tf.ones([2, 3, 1]), {mask: tf.ones(shape, 'bool')});
    console.info(`tfjs ${tf.version.tfjs}: takes a mask ${shape} for inputs 2,3,1`);
    taken += 1;
  } catch (error) {
    console.info(`a mask ${shape} is refused: ${error.message}`);
  }
}
process.exit(taken ? 1 : 0);
